// Shows what needs attention, a row for each group. A row that stays is kept, with its open list and the focus.

import { say } from "./tiles.js";

export class Groups {
  #list;
  #template;
  #icons;
  #shown = new Map();

  constructor(page) {
    this.#list = page.querySelector("[data-groups]");
    this.#template = page.querySelector("template#group").content.firstElementChild;
    this.#icons = page.dataset.icons;
  }

  show(groups) {
    const keys = new Set(groups.map(({ key }) => key));
    for (const row of [...this.#list.children]) {
      if (!keys.has(row.dataset.key)) row.remove();
    }
    groups.forEach((group, at) => {
      const row = this.#row(group, at);
      const text = JSON.stringify(group);
      if (this.#shown.get(group.key) !== text || row.dataset.fresh) this.#draw(row, group);
      delete row.dataset.fresh;
      this.#shown.set(group.key, text);
    });
    this.#list.hidden = groups.length === 0;
  }

  #row({ key }, at) {
    const there = [...this.#list.children].find((row) => row.dataset.key === key);
    if (there) return there;
    const row = this.#template.cloneNode(true);
    row.dataset.key = key;
    row.dataset.fresh = "yes";
    // The template has no token of its own: all forms of the page share one.
    const token = document.querySelector("input[name=csrfmiddlewaretoken]");
    const own = row.querySelector("input[name=csrfmiddlewaretoken]");
    if (own && token) own.value = token.value;
    this.#list.insertBefore(row, this.#list.children[at] ?? null);
    return row;
  }

  #draw(row, { key, title, text, tone, action, jobs, files }) {
    row.querySelector(".group-what").className = `group-what state ${tone}`;
    row.querySelector("use").setAttribute("href", `${this.#icons}#${tone}`);
    say(row.querySelector(".group-title"), title);
    say(row.querySelector(".group-text"), text);
    const show = row.querySelector(".group-show");
    show.hidden = jobs.length === 0;
    show.dataset.show = key;
    show.setAttribute("href", `?show=${key}#tiles`);
    this.#drawAction(row, action);
    const list = row.querySelector(".group-files");
    list.hidden = files.length === 0;
    list.querySelector("ul").setAttribute("aria-label", title);
    list.querySelector("ul").replaceChildren(...files.map(fileRow));
  }

  #drawAction(row, action) {
    const link = row.querySelector(".group-link");
    const form = row.querySelector(".group-form");
    link.hidden = action?.name !== "ask";
    if (!link.hidden) {
      link.setAttribute("href", action.url);
      say(link, action.label);
    }
    if (!form) return;
    const { fields = {} } = action ?? {};
    form.hidden = !fields.action;
    form.elements.action.value = fields.action ?? "";
    form.elements.state.value = fields.state ?? "";
    say(form.querySelector("button"), action?.label ?? "");
  }
}

function fileRow({ name, message }) {
  const row = document.createElement("li");
  const file = document.createElement("span");
  file.translate = false;
  file.textContent = name;
  const why = document.createElement("span");
  why.className = "facts";
  why.textContent = message;
  row.append(file, " ", why);
  return row;
}
