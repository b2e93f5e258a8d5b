// Stands in for the vendor's script: sends a card to the local fake, and nowhere else.
// With the real API, call the vendor's script here.

const url = document.getElementById("main").dataset.tokenizeUrl;

export class ExpiredError extends Error {}
export class RefusedError extends Error {}

// Returns the ID of the payment method that the card has become.
export async function tokenize(clientSecret, card) {
  // An empty URL would be that of this page, whose backend must not see the card.
  if (!url) throw new Error("there is no stand-in for the vendor's script");
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ clientSecret, data: card }),
  });
  if (response.status === 410) throw new ExpiredError();
  if (response.status === 400) throw new RefusedError();
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()).paymentMethodId;
}
