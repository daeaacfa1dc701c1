// Lets people go through the cases by keyboard, and says what is selected. The page works without it.

import { fillSheet, isForKeys, listen } from "../hotkeys.js";

const MICROCREDITS = 1_000_000;
const STEPS = { ArrowDown: "after", ArrowUp: "before" };

function start(page) {
  const list = page.querySelector(".review-list");

  document.addEventListener("keydown", (event) => {
    if (!isForKeys(event)) return;
    if (STEPS[event.key]) page.querySelector(`[data-step="${STEPS[event.key]}"]`)?.click();
    else if (event.key === "x") toggle();
    else return;
    event.preventDefault();
  });

  page.addEventListener("click", (event) => {
    const { opens } = event.target.closest("[data-opens]")?.dataset ?? {};
    if (!opens) return;
    fillSheet(page.querySelector("[data-sheet]"));
    page.querySelector(`#${opens}`).showModal();
  });

  function toggle() {
    const box = list?.querySelector("[aria-current] input");
    if (!box) return;
    box.checked = !box.checked;
    showSelection();
  }

  function showSelection() {
    const chosen = Array.from(list.querySelectorAll("[name=case]:checked"));
    const text = list.querySelector("[data-chosen]");
    const sum = chosen.reduce((all, box) => all + Number(box.dataset.amount), 0) / MICROCREDITS;
    const said = sum.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 6 });
    const { none, some, all } = text.dataset;
    const every = list.querySelector("[name=all]:checked")?.dataset.count;
    if (every) text.textContent = all.replace("{n}", every);
    else text.textContent = chosen.length ? some.replace("{n}", chosen.length).replace("{sum}", said) : none;
    for (const button of list.querySelectorAll(".review-several button")) button.disabled = !(every || chosen.length);
  }

  page.classList.add("scripted");
  list?.addEventListener("change", showSelection);
  if (list) showSelection();
  list?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  listen();
}

const page = document.querySelector("#review");
if (page) start(page);
