// The one bar of an upload, with what was refused below it.

import { Notes } from "./notes.js";
import { Part } from "./parts.js";
import { troubleText } from "./trouble.js";

const DRAWN_EVERY_MS = 250;

export class ProgressPanel {
  part;
  #page;
  #uploader;
  #notes;
  #trouble = null;
  #stopped = false;
  #drawing = null;

  // notes: of the files that were left out before the upload.
  constructor(page, uploader, notes = new Notes()) {
    this.#page = page;
    this.#uploader = uploader;
    this.#notes = notes;
    this.part = Part.clone(page.templates, "uploading");
    this.part.slot("sign-in").href = page.form.dataset.signIn;
    this.part.on("pause", () => this.#pause(false));
    this.part.on("stop", () => this.#pause(true));
    this.part.on("resume", () => this.#resume(() => uploader.resume()));
    this.part.on("retry", () => this.#resume(() => uploader.retry()));
    this.part.on("dismiss", () => this.part.root.remove());
    this.draw();
  }

  tell(trouble) {
    this.#trouble = trouble;
    this.draw();
  }

  // Offered when the batch's page couldn't be shown around the upload.
  offer(address) {
    this.part.slot("batch").href = address;
    this.draw();
  }

  // Not for every chunk: at most four times a second.
  update() {
    this.#drawing ??= setTimeout(() => this.draw(), DRAWN_EVERY_MS);
  }

  draw() {
    clearTimeout(this.#drawing);
    this.#drawing = null;
    const { progress, active, paused } = this.#uploader;
    const { part } = this;
    const failed = this.#uploader.in("failed").length;
    const over = !active && !paused;
    part.slot("bar").value = progress.bytes ? progress.sent / progress.bytes : 1;
    part.show("bar", !over);
    part.set("title", this.#title(progress, failed, over));
    part.set("figures", over ? "" : this.#figures(progress));
    part.set("advice", this.#advice(failed, over));
    part.set("trouble", this.#troubleText());
    part.show("sign-in", this.#trouble?.kind === "signedOut");
    for (const name of ["pause", "stop"]) part.show(name, active);
    part.show("resume", paused && !over && progress.done < progress.count);
    part.show("retry", over && failed > 0);
    part.show("dismiss", over && failed === 0);
    part.show("batch", over && Boolean(part.slot("batch").href));
    this.#drawNotes();
    if (this.#trouble?.until) this.#drawing = setTimeout(() => this.draw(), 1000); // counts down
  }

  #troubleText() {
    const { words } = this.#page;
    if (this.#trouble) return troubleText(words, this.#trouble);
    return this.#uploader.active && this.#uploader.slow ? words.say("slow") : "";
  }

  #title({ done, count }, failed, over) {
    const { words } = this.#page;
    if (over) return failed || !count ? words.say("partly", { done, count: count + failed }) : words.say("uploaded", { count });
    if (!this.#uploader.paused) return words.say("uploading", { done, count });
    return words.say(this.#stopped ? "stopped" : "paused", { done, count });
  }

  #figures({ bytes, sent, rate, left }) {
    const { words } = this.#page;
    const figures = { sent: words.size(sent), size: words.size(bytes) };
    if (left === null || this.#uploader.paused) return words.say("figuresStill", figures);
    return words.say("figures", { ...figures, rate: words.rate(rate), left: words.duration(left) });
  }

  #advice(failed, over) {
    const { words } = this.#page;
    if (over) return failed ? "" : words.say("uploadedText");
    return words.say(this.#stopped ? "stoppedText" : "keepOpen");
  }

  #drawNotes() {
    const { words, templates } = this.#page;
    const bad = this.#uploader.in("refused", "failed");
    if (this.part.drawn === bad.length) return; // opened lists stay open
    this.part.drawn = bad.length;
    const notes = this.#notes.copy();
    for (const { name, problem, message, state } of bad) {
      const word = problem ?? state;
      const text = message || (state === "refused" && !problem) ? "" : words.say(`${word}Text`);
      notes.add(message || words.say(word), text, name);
    }
    notes.render(this.part.slot("notes"), templates, words);
  }

  #pause(stopped) {
    this.#stopped = stopped;
    this.#uploader.pause();
    this.part.slot("resume").focus();
  }

  #resume(go) {
    this.#stopped = false;
    go();
    this.draw();
    this.part.slot("title").focus();
  }
}
