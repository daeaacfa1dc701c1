// Asks for what changed since the last look, as long as the page is seen: soon while anything moves, rarely
// otherwise. The server answers 304 if nothing changed.

const SOON = 2000;
const RARELY = 10_000;
const AT_WORST = 60_000;

export class Poll {
  #address;
  #onChanges;
  #onTrouble;
  #cursor = "";
  #etag = "";
  #timer = 0;
  #asking = null;
  #again = false;
  #failures = 0;
  #usual = SOON;
  #wait = SOON;
  #outputs = null;

  constructor(address, onChanges, onTrouble) {
    this.#address = address;
    this.#onChanges = onChanges;
    this.#onTrouble = onTrouble;
  }

  start() {
    document.addEventListener("visibilitychange", () => this.now());
    addEventListener("online", () => this.now());
    this.now();
  }

  // Looks at once, and after the present look if there is one: it may have begun too early.
  now() {
    clearTimeout(this.#timer);
    if (this.#asking) {
      this.#again = true;
    } else if (!document.hidden) {
      this.#asking = this.#ask().finally(() => {
        this.#asking = null;
        this.#next();
      });
    }
    return this.#asking;
  }

  #next() {
    if (this.#wait === Infinity) return;
    if (this.#again) {
      this.#again = false;
      this.now();
    } else if (!document.hidden) {
      this.#timer = setTimeout(() => this.now(), this.#wait);
    }
  }

  async #ask() {
    try {
      const headers = { "HX-Request": "true" };
      if (this.#etag) headers["If-None-Match"] = this.#etag;
      const response = await fetch(`${this.#address}?since=${this.#cursor}`, { headers, cache: "no-store" });
      if (response.status !== 304) await this.#take(response);
      this.#failures = 0;
      if (this.#wait === Infinity) return;
      this.#wait = this.#usual;
      this.#onTrouble("");
    } catch {
      this.#failures += 1;
      this.#wait = Math.min(SOON * 2 ** this.#failures, AT_WORST);
      this.#onTrouble("offline");
    }
  }

  async #take(response) {
    if ([401, 403, 404].includes(response.status)) {
      this.#wait = Infinity;
      this.#onTrouble(response.status === 401 ? "signedOut" : "gone");
      return;
    }
    if (!response.ok) throw new Error(response.statusText);
    const changes = await response.json();
    this.#cursor = changes.cursor;
    this.#etag = response.headers.get("ETag") ?? "";
    this.#again ||= changes.more;
    this.#notice(changes.outputs);
    this.#usual = moves(changes) ? SOON : RARELY;
    this.#onChanges(changes);
  }

  // In another style every tile is another one, so they are all asked for again.
  #notice(outputs) {
    if (this.#outputs !== null && this.#outputs !== outputs) {
      this.#cursor = this.#etag = "";
      this.#again = true;
    }
    this.#outputs = outputs;
  }
}

function moves({ counts, renditions }) {
  return counts.queued + counts.running + counts.missing + renditions.wanted > 0;
}
