// What happened to files that aren't taken, in groups: one line for each reason, opened into its list. Names come
// from strangers, so they are only ever set as text, each isolated by a bdi from the text around it.

import { Part } from "./parts.js";

const MOST_LISTED = 200;

export class Notes {
  #groups = new Map(); // reason → { text, items: [name] }
  #counts = new Map(); // word → { count, … }

  // reason: a word of the page, or a sentence of the server's. tone: how bad it is.
  add(reason, text, name, tone = "fail") {
    if (!this.#groups.has(reason)) this.#groups.set(reason, { text, tone, items: [] });
    this.#groups.get(reason).items.push(name);
  }

  // Files that needn't be named one by one.
  count(word, more, values = {}) {
    const { count = 0 } = this.#counts.get(word) ?? {};
    this.#counts.set(word, { ...values, count: count + more });
  }

  copy() {
    const copy = new Notes();
    copy.#groups = new Map([...this.#groups].map(([reason, group]) => [reason, { ...group, items: [...group.items] }]));
    copy.#counts = new Map(this.#counts);
    return copy;
  }

  get isEmpty() {
    return this.#groups.size === 0 && this.#counts.size === 0;
  }

  render(slot, templates, words) {
    const groups = [...this.#groups].map(([reason, group]) => asGroup(reason, group, templates, words));
    const lines = [...this.#counts].map(([word, values]) => asLine(words.say(word, values)));
    slot.replaceChildren(...groups, ...lines);
  }
}

export function listOfNames(slot, names) {
  const items = names.slice(0, MOST_LISTED).map((name) => {
    const item = document.createElement("li");
    const isolated = document.createElement("bdi");
    isolated.textContent = name;
    item.append(isolated);
    return item;
  });
  if (names.length > MOST_LISTED) items.push(Object.assign(document.createElement("li"), { textContent: "…" }));
  slot.replaceChildren(...items);
}

function asGroup(reason, { text, tone, items }, templates, words) {
  const part = Part.clone(templates, "group");
  const state = part.root.querySelector(".state");
  const use = state.querySelector("use");
  state.className = `state ${tone}`;
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${tone}`));
  part.set("title", words.say("group", { count: items.length, reason }));
  part.set("text", text);
  listOfNames(part.slot("items"), items);
  return part.root;
}

function asLine(text) {
  return Object.assign(document.createElement("p"), { className: "facts", textContent: text });
}
