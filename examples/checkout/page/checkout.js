// Requests a client secret from this page's backend, and a new one when it expires.

const MAX_RENEWALS = 3; // then the page asks, because the payer may have left
const LAST_SECONDS = 10;
const SHORTEST_PAUSE = 1_000; // milliseconds between two requests
const LONGEST_PAUSE = 8_000;
const BUTTON = { failed: "Try again", expired: "Continue" };

const byId = (id) => document.getElementById(id);
const form = byId("form");
const again = byId("again");
const countdown = byId("countdown");

let renewals = 0; // since the payer last pressed the button
let pause = SHORTEST_PAUSE; // doubles with each request that yields no usable secret
let earliest = 0; // time of the next request
let waiting = false; // for the page to become visible

function show(state, text) {
  const focused = [form, again].includes(document.activeElement);
  form.dataset.state = state;
  byId("status").textContent = text;
  again.ariaDisabled = String(state === "loading");
  if (state !== "loading") {
    countdown.hidden = state !== "ready";
    again.hidden = state === "ready";
    again.textContent = BUTTON[state] ?? "";
    if (focused) (again.hidden ? form : again).focus();
  }
}

function showTraceId(traceId) {
  byId("trace").hidden = !traceId;
  byId("trace-id").textContent = traceId ?? "";
}

function prepare(text) {
  show("loading", text);
  // Rounded up, because setTimeout rounds down.
  const delay = Math.ceil(earliest - performance.now());
  setTimeout(requestIfVisible, Math.max(0, delay));
}

function requestIfVisible() {
  waiting = document.hidden;
  if (!waiting) requestSecret();
}

async function requestSecret() {
  const started = performance.now();
  earliest = started + pause;
  pause = Math.min(2 * pause, LONGEST_PAUSE);
  let traceId, secret;
  try {
    const response = await fetch("card-form", { method: "POST" });
    traceId = response.headers.get("Trace-Id");
    if (response.ok) secret = await response.json();
  } catch {
    // There is no response, or it is not JSON.
  }
  showTraceId(traceId);
  if (!Number.isFinite(secret?.expires_in)) {
    show("failed", "The card form is not available.");
    return;
  }
  // Pass secret.client_secret to the vendor's script here. Do not display it.
  countDown(started + 1_000 * secret.expires_in);
}

function countDown(end) {
  const left = end - performance.now();
  if (left > pause) pause = SHORTEST_PAUSE;
  if (left > 0) show("ready", "The card form is ready.");
  const tick = () => {
    const seconds = Math.ceil((end - performance.now()) / 1_000);
    if (seconds > 0) {
      showSeconds(seconds);
    } else {
      clearInterval(timer);
      expire();
    }
  };
  const timer = setInterval(tick, 250);
  tick();
}

function showSeconds(seconds) {
  const ending = seconds <= LAST_SECONDS;
  const unit = seconds === 1 ? "second" : "seconds";
  form.toggleAttribute("data-ending", ending);
  byId("left").textContent = `${ending ? "Expires in" : "Valid for"} ${seconds} ${unit}`;
  byId("bar").value = seconds;
}

function expire() {
  byId("left").textContent = "Expired";
  byId("bar").value = 0;
  if (renewals < MAX_RENEWALS) {
    renewals += 1;
    prepare("Renewing the card form…");
  } else {
    show("expired", "The card form has expired.");
  }
}

again.addEventListener("click", () => {
  if (again.ariaDisabled === "true") return;
  renewals = 0;
  prepare("Preparing the card form…");
});
document.addEventListener("visibilitychange", () => {
  if (waiting) requestIfVisible();
});
prepare("Preparing the card form…");
