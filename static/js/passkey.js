// Passkeys: shows what belongs to them where they can work, and says what went wrong, which allauth's scripts
// tell the console alone.
const said = document.querySelector("[data-passkey-said]");
const reasons = { NotAllowedError: "refused", AbortError: "refused", InvalidStateError: "known", SecurityError: "address" };
const isNumber = /^[\d.]+$|^\[/.test(location.hostname);

function say(word) {
  said.textContent = said.dataset[word] ?? "";
  said.hidden = !said.textContent;
}

if (!window.PublicKeyCredential) say("missing");
else if (isNumber) say("address");
else for (const part of document.querySelectorAll("[data-passkey]")) part.hidden = false;

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  say(reasons[event.detail.exception?.name] ?? "failed");
});
