// A batch before it starts: its pictures as the browser sees them, listed with the server for the plan.

import { addressesOf, uuid } from "./addresses.js";
import { Notes } from "./notes.js";

const PORTION = 500;
export const MOST_PICTURES = 2000;

export class Draft {
  id = uuid();
  name = "";
  pictures = []; // { requestId, number, file, name, folder, bytes, width, height, sha256 }
  notes = new Notes();
  plan = null;
  #words;
  #line;
  #seen = new Set();
  #batches;
  #next = 1;

  constructor(line, words, batches) {
    this.#line = line;
    this.#words = words;
    this.#batches = batches;
    this.addresses = addressesOf(batches, this.id);
  }

  // Takes the pictures in, each looked at by the inspector. told: gets how many of how many are done.
  async add({ pictures, others, folders, unreadable }, inspector, told) {
    this.name ||= folders[0] ?? "";
    if (others) this.notes.count("others", others);
    for (const name of unreadable) this.#refuse("unreadable", name);
    let done = 0;
    await Promise.all(
      pictures.map(async (picture) => {
        const found = await inspector.inspect(picture.file);
        Object.assign(picture, { found });
        told((done += 1), pictures.length);
      }),
    );
    for (const picture of pictures) this.#take(picture);
  }

  // Opens the batch, lists what isn't listed yet, and asks what it will cost. All of it can be repeated.
  // reuse: what was cut out before is taken from the store, so it costs nothing.
  async price(reuse = true) {
    await this.#line.send(this.#batches, { json: { id: this.id, name: this.name } });
    const fresh = this.pictures.filter(({ listed }) => !listed);
    for (let at = 0; at < fresh.length; at += PORTION) await this.#list(fresh.slice(at, at + PORTION));
    this.plan = await this.#line.json(`${this.addresses.plan}?reuse=${reuse ? "yes" : ""}`, { method: "GET" });
    return this.plan;
  }

  // Takes from the store what was cut out before. Returns false if some of it is gone by now: those pictures are
  // left, like the others.
  async reuse(requestIds) {
    if (requestIds.length === 0) return true;
    const { reused } = await this.#line.json(this.addresses.reuse, { json: { request_ids: requestIds } });
    const done = new Set(reused);
    this.pictures = this.pictures.filter(({ requestId }) => !done.has(requestId));
    return requestIds.every((requestId) => done.has(requestId));
  }

  // The same pictures without some of them, as a batch of its own: none of them was started. The others may be
  // added again, like any that it doesn't have.
  only(chosen) {
    const draft = new Draft(this.#line, this.#words, this.#batches);
    draft.name = this.name;
    draft.notes = this.notes;
    draft.pictures = this.pictures
      .filter(({ requestId }) => chosen.has(requestId))
      .map((picture, index) => ({ ...picture, requestId: uuid(), number: index + 1, listed: false }));
    draft.#seen = new Set(draft.pictures.map(keyOf));
    draft.#next = draft.pictures.length + 1;
    return draft;
  }

  async #list(pictures) {
    const files = pictures.map(({ requestId, number, name, folder, bytes, width, height, sha256 }) => ({
      request_id: requestId, number, name, folder, bytes, width, height, sha256,
    }));
    const { refused = {} } = await this.#line.json(this.addresses.files, { json: { files } });
    for (const picture of pictures) {
      picture.listed = true;
      const message = refused[picture.requestId];
      if (message) this.notes.add(message, "", picture.name);
    }
    this.pictures = this.pictures.filter(({ requestId }) => !refused[requestId]);
  }

  #take({ file, folder, found }) {
    const key = keyOf({ file, folder, sha256: found.sha256 });
    if (found.problem) return this.#refuse(found.problem, file.name);
    if (this.#seen.has(key)) return this.#refuse("twice", file.name, "ok");
    if (this.pictures.length === MOST_PICTURES) return this.notes.count("tooMany", 1, { most: MOST_PICTURES });
    this.#seen.add(key);
    const { width, height, sha256 } = found;
    const known = { name: file.name, folder, bytes: file.size, width, height, sha256 };
    this.pictures.push({ requestId: uuid(), number: this.#next++, file, ...known });
  }

  #refuse(word, name, tone) {
    this.notes.add(this.#words.say(word), this.#words.say(`${word}Text`), name, tone);
  }
}

// A folder dropped twice, or one picture under two names, isn't paid twice.
function keyOf({ file, folder, sha256 }) {
  return sha256 || [folder, file.name, file.size, file.lastModified].join("/");
}
