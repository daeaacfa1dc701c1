// Shows the forms for passkeys if the browser can use them, and explains what went wrong: allauth's scripts
// only write to the console.
const message = document.querySelector("[data-passkey-message]");
const reasons = { NotAllowedError: "refused", AbortError: "refused", InvalidStateError: "known", SecurityError: "address" };
const isNumber = /^[\d.]+$|^\[/.test(location.hostname);

function show(reason) {
  message.textContent = message.dataset[reason] ?? "";
  message.hidden = !message.textContent;
}

if (!window.PublicKeyCredential) show("missing");
else if (isNumber) show("address");
else for (const part of document.querySelectorAll("[data-passkey]")) part.hidden = false;

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  show(reasons[event.detail.exception?.name] ?? "failed");
});
