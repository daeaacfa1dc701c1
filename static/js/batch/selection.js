// Goes from tile to tile and selects them, by keyboard and pointer. Only one tile is a stop of the Tab key.

import { isForKeys } from "../hotkeys.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, k: -1, j: 1, h: -1, l: 1 };

export class Selection {
  #tiles;
  #onChange;
  #current = null;
  #anchor = null;

  constructor(tiles, onChange) {
    this.#tiles = tiles;
    this.#onChange = onChange;
    tiles.list.addEventListener("click", (event) => this.#click(event));
    tiles.list.addEventListener("focusin", ({ target }) => this.#enter(target.closest(".shot")));
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  get tiles() {
    return Array.from(this.#tiles.list.querySelectorAll(".shot:has(input:checked)"));
  }

  // Takes new tiles in: the Tab key passes them by.
  adopt() {
    for (const element of this.#tiles.list.querySelectorAll(":is(a, input):not([tabindex])")) element.tabIndex = -1;
    if (!this.#current?.isConnected) this.#enter(this.#tiles.list.firstElementChild);
  }

  all() {
    this.#choose(this.#visible(), true);
  }

  none() {
    this.#choose(this.tiles, false);
  }

  #visible() {
    return Array.from(this.#tiles.list.children).filter((tile) => getComputedStyle(tile).display !== "none");
  }

  #enter(tile) {
    if (!tile || tile === this.#current) return;
    for (const [one, index] of [[this.#current, -1], [tile, 0]]) {
      for (const element of one?.querySelectorAll("a, input") ?? []) element.tabIndex = index;
    }
    this.#current = tile;
  }

  #click(event) {
    const box = event.target.closest("input");
    if (!box) return;
    const tile = box.closest(".shot");
    if (event.shiftKey && this.#anchor) this.#choose(this.#between(this.#anchor, tile), box.checked);
    this.#anchor = tile;
    this.#onChange();
  }

  #key(event) {
    if (!isForKeys(event)) return;
    if (event.key === "Escape") this.none();
    else if (event.key.toLowerCase() === "x") this.#toggle(event.shiftKey);
    else if (event.key === "Enter" && event.target === document.body) this.#current?.querySelector("a").click();
    else if (!this.#move(event)) return;
    event.preventDefault();
  }

  #toggle(range) {
    const box = this.#current?.querySelector("input");
    if (!box) return;
    if (range && this.#anchor) this.#choose(this.#between(this.#anchor, this.#current), true);
    else this.#choose([this.#current], !box.checked);
    if (!range) this.#anchor = this.#current;
  }

  #move({ key, shiftKey }) {
    const visible = this.#visible();
    const step = STEPS[key] ?? STEPS[key.toLowerCase()] ?? { ArrowUp: -1, ArrowDown: 1 }[key] * columns(visible);
    if (!step || !visible.length) return false;
    const from = this.#current;
    const began = visible.includes(document.activeElement.closest(".shot"));
    const at = began ? visible.indexOf(from) + step : Math.max(0, visible.indexOf(from));
    const tile = visible[at];
    if (!tile) return true;
    this.#enter(tile);
    tile.querySelector("a").focus();
    if (shiftKey) {
      this.#anchor ??= from;
      this.#choose(this.#between(this.#anchor, tile), true);
    }
    return true;
  }

  #between(one, other) {
    const visible = this.#visible();
    const [first, last] = [visible.indexOf(one), visible.indexOf(other)].sort((a, b) => a - b);
    return first < 0 ? [other] : visible.slice(first, last + 1);
  }

  #choose(tiles, checked) {
    for (const tile of tiles) {
      const box = tile.querySelector("input");
      if (box) box.checked = checked;
    }
    if (!checked && tiles.length !== 1) this.#anchor = null;
    this.#onChange();
  }
}

function columns(tiles) {
  const { offsetTop } = tiles[0] ?? {};
  const next = tiles.findIndex((tile) => tile.offsetTop !== offsetTop);
  return next < 0 ? tiles.length : next;
}
