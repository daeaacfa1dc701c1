// On a phone the filters stay folded, so that the list is seen; listens to the keys that the page declares.

import { listen } from "../hotkeys.js";

const DESK = matchMedia("(width >= 52rem)");

let unfolded = DESK.matches;

function fold() {
  const filters = document.querySelector("#counts .filters");
  if (filters) filters.open = unfolded;
}

document.addEventListener("click", (event) => {
  const filters = event.target.closest("#counts .filters > summary")?.parentElement;
  if (filters) unfolded = !filters.open;
});
document.addEventListener("htmx:afterSwap", fold);
DESK.addEventListener("change", () => {
  unfolded = DESK.matches;
  fold();
});
fold();
listen();
