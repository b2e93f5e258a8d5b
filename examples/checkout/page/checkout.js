// The steps of a checkout: card, quote, payment, receipt. The backend keeps the order,
// so that the page can be reloaded at any time.

import { checkCard, forgetCard, readCard, showProblem } from "./card.js";
import { ExpiredError, RefusedError, tokenize } from "./tokenize.js";

const STEPS = ["card", "quote", "paying", "paid", "failed"];
const NOTICES = {
  declined: "This card was declined. Use another card.",
  refused: "This payment cannot be made with this card. Use another card.",
};
const EXPIRED =
  "The quote had expired, so you have not paid. Check the new total before you pay.";
const STATUSES = {
  SUBMITTED: "Your payment was accepted.",
  CHARGED: "Your payment was accepted.",
  UNDER_REVIEW: "Your payment is under review.",
  COMMITTED: "Your payment is on its way.",
  IN_TRANSIT: "Your payment is on its way.",
  DEPOSITED: "Your payment has arrived.",
  CANCELLED: "Your payment was cancelled. You get your money back.",
  REFUNDED: "Your payment was refunded.",
  NOT_CAPTURED: "Your payment failed. You were not charged.",
};

const byId = (id) => document.getElementById(id);
const main = byId("main");
const usd = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

let order = null;
let busy = false; // while a button that was pressed does its work

class ResponseError extends Error {
  constructor(response) {
    super(`status ${response.status}`);
    this.traceId = response.headers.get("Trace-Id");
  }
}

// Calls the backend, for this order.
async function call(path, body) {
  const response = await fetch(`${location.pathname}/${path}`, {
    method: body ? "POST" : "GET",
    headers: { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!response.ok) throw new ResponseError(response);
  return response.json();
}

function setBusy(text) {
  busy = text !== "";
  byId("status").textContent = text;
  // Not `disabled`, because a disabled button loses the focus.
  for (const button of document.querySelectorAll("button")) {
    button.ariaDisabled = String(busy);
  }
}

// Does what a button is for, once, however often it is pressed meanwhile.
async function act(text, work, failure) {
  if (busy) return;
  warn("");
  setBusy(text);
  try {
    await work();
  } catch (error) {
    failure(error);
  } finally {
    setBusy("");
  }
}

function warn(text, { traceId } = {}) {
  byId("alert").textContent = text;
  byId("trace").hidden = !traceId;
  byId("trace-id").textContent = traceId ?? "";
}

// Shows one step. It gets the focus, unless the page has just been opened.
function show(step, focusId = `${step}-title`) {
  const opening = main.dataset.step === "loading";
  main.dataset.step = step;
  for (const id of STEPS) byId(id).hidden = id !== step;
  if (!opening) byId(focusId).focus();
}

function showOrder(newOrder) {
  order = newOrder;
  const { step, notice, quote, receipt } = order;
  showAmounts();
  if (step === "quote") {
    byId("quote-card").textContent = `Pay with ${quote.card}.`;
    byId("pay").textContent = `Pay ${usd.format(quote.total)}`;
    byId("quote-notice").textContent = notice === "expired" ? EXPIRED : "";
  }
  if (step === "paid") {
    byId("paid-status").textContent =
      STATUSES[receipt.status] ?? "Your payment is being processed.";
    byId("paid-card").textContent = quote.card;
    byId("paid-code").textContent = receipt.status ?? "unknown";
    byId("payment-id").textContent = receipt.payment_id;
    byId("paid-trace-id").textContent = receipt.trace_id;
  }
  if (step === "card" && notice) {
    showProblem("number", NOTICES[notice]);
    show(step, "number");
  } else {
    show(step);
  }
}

function showAmounts() {
  const { amount, quote } = order;
  const rows = [["Invoice 2041", amount]];
  if (quote) {
    for (const fee of quote.fees) rows.push([fee.label, fee.amount]);
    rows.push(["Total", quote.total]);
  }
  byId("amounts").hidden = false;
  byId("amounts").replaceChildren(
    ...rows.map(([label, value]) => {
      const row = document.createElement("div");
      row.append(document.createElement("dt"), document.createElement("dd"));
      row.children[0].textContent = label;
      row.children[1].textContent = usd.format(value);
      return row;
    }),
  );
}

function load() {
  const work = async () => showOrder(await call("state"));
  return act("Loading your order…", work, (error) => {
    warn("", error);
    show("failed");
  });
}

// Sends the card to the vendor. A client secret is valid for a minute, so it is created
// only now; if it expires on the way nevertheless, another one is tried.
async function sendCard() {
  const card = readCard();
  const secret = async () => (await call("card-form", {})).client_secret;
  try {
    return await tokenize(await secret(), card);
  } catch (error) {
    if (!(error instanceof ExpiredError)) throw error;
    return tokenize(await secret(), card);
  }
}

async function quoteCard() {
  const paymentMethodId = await sendCard();
  showOrder(await call("quote", { payment_method_id: paymentMethodId }));
  forgetCard();
}

function submitCard(event) {
  event.preventDefault();
  if (busy || !checkCard()) return;
  act("Checking your card…", quoteCard, (error) => {
    if (error instanceof RefusedError) {
      showProblem("number", "This card was not accepted. Check what you have entered.");
      byId("number").focus();
    } else {
      warn("Your card could not be checked. You have not paid. Try again.", error);
    }
  });
}

// The payer has decided to pay this quote. The backend charges once, however often it
// is asked to, so an unknown result is found out by asking again.
function pay() {
  const again = main.dataset.step === "paying";
  const decision = { intent_id: order.quote.intent_id };
  const work = async () => showOrder(await call("pay", decision));
  return act(again ? "Checking your payment…" : "Paying…", work, (error) => {
    if (!again) show("paying");
    warn(again ? "There is still no confirmation." : "", error);
  });
}

async function start() {
  main.dataset.step = "loading";
  await load();
  if (order?.step === "paying") await pay();
}

byId("card").addEventListener("submit", submitCard);
byId("pay").addEventListener("click", pay);
byId("check").addEventListener("click", pay);
byId("other-card").addEventListener("click", () => busy || show("card"));
byId("reload").addEventListener("click", load);
// The browser may show the page again as it was left, by the back button.
addEventListener("pageshow", ({ persisted }) => persisted && start());
start();
