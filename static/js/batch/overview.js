// Shows how far the batch has come: the bar, the figures, the filters' counts and the team's balance.

import { say } from "./tiles.js";

const NEWS_SECONDS = 20;

export class Overview {
  #page;
  #news;
  #saidAt = 0;
  #over = null;

  constructor(page) {
    this.#page = page;
    this.#news = page.querySelector("[data-news]");
  }

  show(state) {
    const find = (selector) => this.#page.querySelector(selector);
    say(find("[data-name]"), state.name);
    say(find("[data-summary]"), state.summary);
    say(find("[data-left]"), state.left ?? "");
    say(find("[data-pace]"), state.pace);
    for (const element of this.#page.querySelectorAll("[data-credits]")) say(element, state.credits[element.dataset.credits]);
    find("[data-unspent]").hidden = state.credits.held === "0" && state.credits.rest === "0";
    for (const element of this.#page.querySelectorAll("[data-count]")) say(element, String(state.chips[element.dataset.count]));
    for (const element of this.#page.querySelectorAll("[data-when]")) element.hidden = !state.chips[element.dataset.when];
    this.#showBar(find(".batch-bar"), state);
    for (const button of this.#page.querySelectorAll("[data-send=pause] button")) {
      button.hidden = button.value === "pause" ? state.paused || !state.chips.waiting : !state.paused;
    }
    const cancel = find("[data-send=cancel]");
    if (cancel) cancel.hidden = !state.chips.waiting;
    this.#showBalance(state.balance);
    this.#tell(state);
  }

  #showBar(bar, { bar: parts, summary }) {
    bar.setAttribute("aria-label", summary);
    parts.forEach(({ x, width }, at) => {
      bar.children[at].setAttribute("x", x);
      bar.children[at].setAttribute("width", width);
    });
  }

  // The same fragment as the header's own, from our server.
  #showBalance(html) {
    const old = document.querySelector("#balance");
    const fresh = new DOMParser().parseFromString(html ?? "", "text/html").body.firstElementChild;
    if (old && fresh && old.outerHTML !== fresh.outerHTML) old.replaceWith(document.adoptNode(fresh));
  }

  // Tells a screen reader rarely, and at once when all is over.
  #tell({ counts, summary, left }) {
    const over = counts.queued + counts.running === 0;
    const ended = over && this.#over === false;
    this.#over = over;
    if (!ended && (over || Date.now() - this.#saidAt < NEWS_SECONDS * 1000)) return;
    this.#saidAt = Date.now();
    say(this.#news, [summary, left].filter(Boolean).join(", "));
  }
}
