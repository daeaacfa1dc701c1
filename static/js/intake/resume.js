// Goes on with a batch whose upload was cut off by a lost line, a closed tab or a restarted browser. The server
// has the list of what is missing; the person chooses the files again, and each is recognised by its content, or
// by its name and size if its content couldn't be hashed. It keeps its request's id, so nothing comes twice.

import { Notes, listOfNames } from "./notes.js";
import { Part } from "./parts.js";

const LOOK_SECONDS = 15;

export class Resume {
  #page;
  #batch; // its addresses
  #acts;
  #part = null;
  #missing = [];
  #timer = 0;

  // acts: pick(kind) opens a chooser, upload(files, notes) sends them, uploading(ids) tells which are on their way.
  constructor(page, batch, acts) {
    this.#page = page;
    this.#batch = batch;
    this.#acts = acts;
  }

  // Shows what is missing, and looks again now and then: another tab may be uploading it.
  async look() {
    const { files, abandoned } = await this.#page.line.json(this.#batch.missing, { method: "GET" });
    this.#missing = files.filter(({ request_id: id }) => !this.#acts.isOnItsWay(id));
    this.#render();
    this.#part?.show("forget", abandoned);
    if (this.#missing.length) this.#lookLater();
  }

  async take({ pictures, unreadable }) {
    const { words, templates } = this.#page;
    const notes = new Notes();
    for (const name of unreadable) notes.add(words.say("unreadable"), words.say("unreadableText"), name);
    await this.look();
    const files = await this.#match(pictures, notes);
    if (files.length) {
      this.#part?.root.remove();
      this.#part = null;
      return this.#acts.upload(files, notes);
    }
    const notice = Part.clone(templates, "notice");
    notice.set("error", words.say(this.#missing.length ? "matchedNone" : "complete"));
    notice.on("dismiss", () => notice.root.remove());
    this.#page.region.append(notice.root);
    return null;
  }

  async #match(pictures, notes) {
    const wanted = new Wanted(this.#missing);
    const sizes = new Set(this.#missing.map(({ bytes }) => bytes));
    // Only what can be one of them is read.
    const possible = pictures.filter(({ file }) => sizes.has(file.size) || sizes.has(null));
    const files = [];
    let done = 0;
    await Promise.all(
      possible.map(async ({ file, folder }) => {
        const { sha256 = "" } = await this.#page.inspector.inspect(file);
        const match = wanted.take(file, folder, sha256);
        if (match) files.push(asUpload(match, file));
        this.#part?.set("matched", this.#page.words.say("matching", { done: (done += 1), count: possible.length }));
      }),
    );
    const left = pictures.length - files.length;
    if (left && files.length) notes.count("notMissing", left);
    return files.sort((a, b) => a.number - b.number);
  }

  #render() {
    if (this.#missing.length === 0) {
      this.#part?.root.remove();
      this.#part = null;
      return;
    }
    if (!this.#part) this.#build();
    const names = this.#missing.map(({ folder, name }) => (folder ? `${folder}/${name}` : name));
    this.#part.set("title", this.#page.words.say("missing", { count: names.length }));
    this.#part.group.set("title", this.#page.words.say("names", { count: names.length }));
    listOfNames(this.#part.group.slot("items"), names);
  }

  #build() {
    const { templates, region } = this.#page;
    this.#part = Part.clone(templates, "missing");
    this.#part.group = Part.clone(templates, "names");
    this.#part.slot("notes").append(this.#part.group.root);
    for (const kind of ["files", "folder"]) this.#part.on(kind, () => this.#acts.pick(kind));
    this.#part.on("forget", () => this.#part.during(() => this.#forget()).catch((error) => this.#part.set("error", error.message)));
    region.append(this.#part.root);
  }

  async #forget() {
    await this.#page.line.send(this.#batch.control, { body: new URLSearchParams({ action: "forget_missing" }) });
    await this.look();
  }

  // One timer, however often it was looked meanwhile: each drop and each end of an upload looks too.
  #lookLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lookAgain(), LOOK_SECONDS * 1000);
  }

  #lookAgain() {
    if (!this.#part?.root.isConnected) return;
    if (document.hidden) this.#lookLater();
    else this.look().catch(() => {}); // what is shown stays
  }
}

// The missing files, each given away once.
class Wanted {
  #files;

  constructor(files) {
    this.#files = [...files];
  }

  take(file, folder, sha256) {
    const same = this.#files.filter((each) => isSame(each, file, sha256));
    const best = same.find((each) => each.folder === folder && each.name === file.name) ?? same.find((each) => each.name === file.name) ?? same[0];
    if (best) this.#files.splice(this.#files.indexOf(best), 1);
    return best;
  }
}

function isSame(wanted, file, sha256) {
  if (wanted.sha256 && sha256) return wanted.sha256 === sha256;
  return wanted.name === file.name.normalize("NFC") && (wanted.bytes ?? file.size) === file.size;
}

// tried: the server may already have some of its bytes.
function asUpload({ request_id: requestId, number, name, folder }, file) {
  return { requestId, number, file, name, folder, bytes: file.size, tried: true };
}
