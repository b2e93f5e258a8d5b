// Gets a client secret from this page's own backend, and a new one when it runs out.

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
  const asked = performance.now(); // the answer's own time counts as used up
  try {
    const answer = await fetch("card-form", { method: "POST" });
    byId("trace-id").textContent = answer.headers.get("Trace-Id");
    if (!answer.ok) throw new Error(answer.status);
    const form = await answer.json();
    // Here the vendor's script gets form.client_secret. It is shown to nobody.
    show("ready", "The card form is ready.");
    countDown(asked + form.expires_in * 1000);
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
