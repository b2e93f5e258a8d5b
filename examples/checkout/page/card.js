// The fields of the card form: reads and checks them, and shows what is wrong with them.

const byId = (id) => document.getElementById(id);
const form = byId("card");
const CARD = ["number", "expiry", "code"];

const textOf = (id) => byId(id).value.trim();
const digitsOf = (id) => textOf(id).replace(/[\s-]/g, "");

// Returns [month, year], of two and four digits, or null. Browsers and payers write it
// in many ways, and the numeric keyboard of a telephone has no slash.
function expiry() {
  const digits = textOf("expiry").replace(/\s/g, "").replace(/^(\d)[/-]/, "0$1/");
  const found = /^(0[1-9]|1[0-2])[/-]?(20)?(\d\d)$/.exec(digits);
  return found && [found[1], `20${found[3]}`];
}

function hasExpired([month, year]) {
  // A card is valid until its month ends: day 0 of the next month is the last of this.
  return new Date(Number(year), Number(month), 0, 23, 59, 59) < new Date();
}

function problemOf(id) {
  const label = form.querySelector(`[for=${id}]`).textContent;
  if (id === "expiry") {
    if (!expiry()) return "Enter month and year, such as 08/29.";
    return hasExpired(expiry()) ? "This card has expired." : "";
  }
  if (!textOf(id)) return `Enter the ${label.toLowerCase()}.`;
  if (id === "number" && !/^\d{12,19}$/.test(digitsOf(id))) {
    return "A card number has 12 to 19 digits.";
  }
  if (id === "code" && !/^\d{3,4}$/.test(digitsOf(id))) {
    return "A security code has 3 or 4 digits.";
  }
  return "";
}

// Screen readers read the text of an error with its field.
export function showProblem(id, text) {
  byId(`${id}-error`).textContent = text;
  byId(id).setAttribute("aria-invalid", String(text !== ""));
}

// Returns whether all fields are right. The first one that is not gets the focus.
export function checkCard() {
  const wrong = [...form.querySelectorAll("input")].filter(({ id }) => {
    showProblem(id, problemOf(id));
    return problemOf(id) !== "";
  });
  wrong[0]?.focus();
  return wrong.length === 0;
}

// Returns the card with the names of the API.
export function readCard() {
  const [expirationMonth, expirationYear] = expiry();
  return {
    cardHolderName: textOf("name"),
    accountNumber: digitsOf("number"),
    cvv: digitsOf("code"),
    expirationMonth,
    expirationYear,
    billingAddress: {
      line1: textOf("line1"),
      city: textOf("city"),
      state: textOf("state"),
      postalCode: textOf("postal-code"),
      country: textOf("country"),
    },
  };
}

// Forgets the card, but not the name and the address.
export function forgetCard() {
  for (const id of CARD) byId(id).value = "";
}

// What the payer corrects is no longer wrong.
form.addEventListener("input", ({ target }) => {
  if (target.ariaInvalid === "true") showProblem(target.id, problemOf(target.id));
});
