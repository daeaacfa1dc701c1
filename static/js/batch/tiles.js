// Keeps the grid's tiles as the server says. Only a tile whose version changed is touched.

export class Tiles {
  #list;
  #template;
  #words;
  #byId = new Map();

  constructor(page) {
    this.#list = page.querySelector("#tiles");
    this.#template = page.querySelector("template#tile").content.firstElementChild;
    removeBlanks(this.#template);
    this.#words = page.querySelector("[data-batch-words]").dataset;
    this.icons = page.dataset.icons;
    for (const tile of this.#list.children) this.#byId.set(tile.dataset.id, tile);
  }

  get list() {
    return this.#list;
  }

  // Draws the changed jobs, and returns how many tiles were touched.
  show(jobs) {
    const added = [];
    let touched = 0;
    for (const job of jobs) {
      const id = String(job.id);
      const tile = this.#byId.get(id);
      if (tile?.dataset.v === job.v) continue;
      touched += 1;
      if (tile) this.#draw(tile, job);
      else added.push(this.#add(job));
    }
    if (added.length) this.#insert(added);
    return touched;
  }

  #add(job) {
    const tile = this.#template.cloneNode(true);
    tile.id = `job-${job.id}`;
    tile.dataset.id = job.id;
    this.#byId.set(String(job.id), tile);
    this.#draw(tile, job);
    return tile;
  }

  // Puts new tiles where they belong: mostly behind the last one, in one piece.
  #insert(tiles) {
    tiles.sort(inOrder);
    const before = this.#list.lastElementChild;
    if (!before || inOrder(before, tiles[0]) < 0) {
      this.#list.append(...tiles);
      return;
    }
    const all = [...this.#list.children];
    let at = 0;
    for (const tile of tiles) {
      while (at < all.length && inOrder(all[at], tile) < 0) at += 1;
      this.#list.insertBefore(tile, all[at] ?? null);
    }
  }

  #draw(tile, job) {
    const { number, v, state, kind, proof } = job;
    Object.assign(tile.dataset, { number, v, state, kind, proof });
    const [link, line, status, badge] = tile.children;
    link.classList.toggle("checker", Boolean(job.after));
    set(link, "href", job.page);
    set(link.firstElementChild, "src", job.after ?? job.before ?? "");
    set(link.firstElementChild, "alt", job.name);
    line.className = `shot-line state ${job.tone}`;
    set(line.querySelector("use"), "href", `${this.icons}#${job.tone}`);
    const name = line.querySelector(".shot-name");
    if (name.textContent !== job.name) name.replaceChildren(...breakable(job.name));
    set(name, "title", job.folder ? `${job.folder}/${job.name}` : job.name);
    say(line.querySelector(".shot-cost"), job.cost);
    status.className = `shot-state state ${job.tone}`;
    status.hidden = state === "done" && !job.reason;
    say(status.querySelector(".shot-label"), job.label);
    say(status.querySelector(".shot-reason"), job.reason);
    badge.hidden = !proof;
    say(badge, proof ? this.#words[`${proof}One`] : "");
    const box = tile.querySelector("input");
    if (!box) return;
    set(box, "value", String(job.id));
    set(box, "aria-label", this.#words.select.replace("{name}", job.name));
  }
}

// The white space between a template's tags would be half of all nodes.
function removeBlanks(element) {
  for (const node of [...element.childNodes]) {
    if (node.nodeType === Node.TEXT_NODE && !node.data.trim()) node.remove();
    else removeBlanks(node);
  }
}

function inOrder(a, b) {
  return a.dataset.number - b.dataset.number || a.dataset.id - b.dataset.id;
}

// A file's name may break after its separators, as in the server's tiles.
function breakable(name) {
  const parts = name.split(/(?<=[_.-])(?=.)/);
  return parts.flatMap((part, index) => (index ? [document.createElement("wbr"), part] : part));
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
