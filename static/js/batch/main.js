// Brings a batch's page to life: polls what changes, draws only that, and answers keys, clicks and forms.
// Without this script the page shows its tiles by the hundred, and its forms and links work as they stand.

import { fillSheet, listen } from "../hotkeys.js";
import { Actions } from "./actions.js";
import { Groups } from "./groups.js";
import { Overview } from "./overview.js";
import { Poll } from "./poll.js";
import { Selection } from "./selection.js";
import { say, Tiles } from "./tiles.js";

function start(page) {
  const words = page.querySelector("[data-batch-words]").dataset;
  const tiles = new Tiles(page);
  const overview = new Overview(page);
  const groups = new Groups(page);
  const poll = new Poll(page.dataset.changes, show, showTrouble);
  const actions = new Actions(page, () => poll.now());
  const selection = new Selection(tiles, showSelection);
  const bar = page.querySelector("#selection");

  function show(changes) {
    const began = performance.now();
    const touched = tiles.show(changes.jobs);
    overview.show(changes);
    groups.show(changes.groups);
    if (touched) selection.adopt();
    showEmpty();
    performance.measure("batch", { start: began, end: performance.now(), detail: touched });
  }

  function showTrouble(kind) {
    const element = page.querySelector("[data-trouble]");
    element.hidden = !kind;
    say(element, kind ? words[kind] : "");
  }

  function showSelection() {
    const count = selection.tiles.length;
    if (!bar) return;
    bar.classList.toggle("chosen", count > 0);
    say(bar.querySelector("[data-chosen]"), count ? words.selected.replace("{n}", count) : "");
  }

  function filter(key) {
    tiles.list.dataset.show = key;
    for (const chip of page.querySelectorAll(".chip")) {
      if (chip.dataset.show === key) chip.setAttribute("aria-current", "true");
      else chip.removeAttribute("aria-current");
    }
    history.replaceState(null, "", key ? `?show=${key}` : location.pathname);
    showEmpty();
  }

  function showEmpty() {
    const { children } = tiles.list;
    page.querySelector("[data-nothing]").hidden = Array.prototype.some.call(children, (tile) => tile.checkVisibility());
  }

  page.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    const kind = form.dataset.send ?? (form.className === "group-form" ? "group" : form.id);
    const act = {
      rename: () => actions.rename(form),
      pause: () => actions.pause(submitter),
      cancel: () => actions.cancel(),
      group: () => actions.group(Object.fromEntries(["action", "state"].map((name) => [name, form.elements[name].value]))),
      selection: () => actions.decide(jobsOf(selection.tiles), submitter?.value),
    }[kind];
    if (!act) return;
    event.preventDefault();
    act();
  });

  page.addEventListener("click", (event) => {
    const { opens, act } = event.target.closest("[data-opens], [data-act]")?.dataset ?? {};
    const filtered = event.target.closest("a[data-show]");
    if (filtered && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      filter(filtered.dataset.show);
    }
    if (opens === "keys") fillSheet(page.querySelector("[data-sheet]"));
    if (opens) page.querySelector(`#${opens}`).showModal();
    if (act === "all") selection.all();
    if (act === "download") actions.download(jobsOf(selection.tiles));
  });

  page.classList.add("scripted");
  selection.adopt();
  showSelection();
  addEventListener("pageshow", showSelection); // after Back, the browser ticks again what was ticked
  listen();
  poll.start();
}

// What is to be known of each tile's job, also before the first poll.
function jobsOf(tiles) {
  return Array.from(tiles, ({ dataset: { id, state, proof } }) => ({ id, state, proof }));
}

const page = document.querySelector("#batch");
if (page) start(page);
