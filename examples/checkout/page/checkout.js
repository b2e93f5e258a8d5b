// Requests a client secret from this page's backend, and a new one when it expires.

const byId = (id) => document.getElementById(id);
let timer;

function show(state, text) {
  byId("form").dataset.state = state;
  byId("status").textContent = text;
  byId("countdown").hidden = state !== "ready";
  byId("renew").hidden = state !== "failed";
}

async function prepare() {
  clearInterval(timer);
  const started = performance.now(); // the secret expires while the request runs, too
  try {
    const response = await fetch("card-form", { method: "POST" });
    byId("trace-id").textContent = response.headers.get("Trace-Id");
    if (!response.ok) throw new Error(response.status);
    const form = await response.json();
    // Pass form.client_secret to the vendor's script here. Do not display it.
    show("ready", "The card form is ready.");
    countDown(started + form.expires_in * 1000);
  } catch {
    show("failed", "The card form could not be prepared.");
  }
}

function countDown(end) {
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    byId("seconds").textContent = left;
    byId("bar").value = left;
    if (left === 0) {
      show("loading", "Renewing the card form…");
      prepare();
    }
  };
  timer = setInterval(tick, 250);
  tick();
}

byId("renew").addEventListener("click", () => {
  show("loading", "Preparing the card form…");
  prepare();
});
prepare();
