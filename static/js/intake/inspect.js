// Hands files to the worker and reports what each one is.

const MOST_BYTES = 31_457_280; // what the server takes at most
const UNKNOWN = { type: "", width: null, height: null, sha256: "" };

export class Inspector {
  #worker;
  #waiting = new Map();
  #next = 0;

  constructor(address) {
    this.#worker = new Worker(address, { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => this.#settle(data.id, data));
    // Without a worker nothing is known in advance; the server checks everything anyway.
    this.#worker.addEventListener("error", () => this.#giveUp());
  }

  inspect(file) {
    if (!this.#worker) return Promise.resolve(UNKNOWN);
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker.postMessage({ id, file, most: MOST_BYTES });
    });
  }

  #settle(id, found) {
    this.#waiting.get(id)?.(found);
    this.#waiting.delete(id);
  }

  #giveUp() {
    this.#worker = null;
    for (const id of [...this.#waiting.keys()]) this.#settle(id, UNKNOWN);
  }
}
