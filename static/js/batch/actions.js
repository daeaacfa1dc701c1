// Sends the page's forms without leaving it, and offers to undo what can be undone.

const AT_ONCE = 500; // keys in one request
const TOAST_SECONDS = 12;
const MAX_ADDRESS = 3500; // what web servers take in one line

export class Actions {
  #page;
  #words;
  #refresh;
  #toast;
  #undo = null;
  #timer = 0;

  constructor(page, refresh) {
    this.#page = page;
    this.#words = page.querySelector("[data-batch-words]").dataset;
    this.#refresh = refresh;
    this.#toast = page.querySelector("[data-toast]");
    this.#toast.querySelector("[data-undo]").addEventListener("click", () => this.#undoLast());
  }

  async pause(button) {
    const was = button.value;
    if (!(await this.#control({ action: was }))) return;
    const other = was === "pause" ? "resume" : "pause";
    this.tell(was === "pause" ? this.#words.paused : this.#words.resumed, () => this.#control({ action: other }));
  }

  // The page may not know all of the batch's pictures yet, so the answer says which were cancelled.
  async cancel() {
    const answer = await this.#control({ action: "cancel" });
    if (!answer) return;
    const { cancelled: keys = [] } = await answer.json().catch(() => ({})); // empty from a server of the release before
    const undo = () => this.#control({ action: "retry", state: "cancelled" }, keys);
    this.tell(this.#words.cancelled.replace("{n}", keys.length), keys.length ? undo : null);
  }

  group(fields) {
    return this.#control(fields);
  }

  async decide(jobs, proof) {
    const done = jobs.filter(({ state }) => state === "done");
    if (!done.length) {
      this.tell(this.#words.none);
      return;
    }
    const before = Map.groupBy(done, (job) => job.proof);
    if (!(await this.#post(this.#page.dataset.proof, { proof }, keysOf(done)))) return;
    this.tell(this.#words[proof].replace("{n}", done.length), async () => {
      for (const [was, those] of before) await this.#post(this.#page.dataset.proof, { proof: was }, keysOf(those));
    });
  }

  download(jobs) {
    const done = jobs.filter(({ state }) => state === "done");
    const query = done.map(({ id }) => `&job=${id}`).join("");
    if (!done.length) this.tell(this.#words.none);
    else if (query.length > MAX_ADDRESS) this.tell(this.#words.tooMany);
    else location.assign(`${this.#page.dataset.zip}?only=all${query}`);
  }

  async rename(form) {
    form.closest("details").open = false;
    await this.#post(form.action, { name: form.elements.name.value });
  }

  tell(text, undo = null) {
    this.#undo = undo;
    this.#toast.querySelector("[data-text]").textContent = text;
    this.#toast.querySelector("[data-undo]").hidden = !undo;
    this.#toast.hidden = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#hide(), TOAST_SECONDS * 1000);
  }

  #hide() {
    if (this.#toast.matches(":hover, :focus-within")) {
      this.#timer = setTimeout(() => this.#hide(), 2000);
      return;
    }
    this.#toast.hidden = true;
    this.#undo = null;
  }

  async #undoLast() {
    const undo = this.#undo;
    this.#undo = null;
    this.#toast.hidden = true;
    await undo?.();
  }

  #control(fields, keys) {
    return this.#post(this.#page.dataset.control, fields, keys);
  }

  // keys: of the jobs it is about; undefined for all. Returns the last answer, or null.
  async #post(address, fields, keys) {
    const token = document.querySelector("input[name=csrfmiddlewaretoken]").value;
    const headers = { "HX-Request": "true", "X-CSRFToken": token };
    let response = null;
    try {
      for (let at = 0; at === 0 || at < keys?.length; at += AT_ONCE) {
        const body = new URLSearchParams(fields);
        for (const key of keys?.slice(at, at + AT_ONCE) ?? []) body.append("job", key);
        response = await fetch(address, { method: "POST", headers, body });
        if (!response.ok) throw new Error(response.statusText);
      }
    } catch {
      this.tell(this.#words.refused);
      return null;
    }
    await this.#refresh();
    return response;
  }
}

function keysOf(jobs) {
  return jobs.map(({ id }) => id);
}
