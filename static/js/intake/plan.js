// The panel between choosing and starting: what the pictures will cost, what there is, and what to do about it.

import { Part, answer, dialogOf } from "./parts.js";
import { chooseAmong } from "./choose.js";
import { testPicture } from "./test_picture.js";

const CONFIRMED_ABOVE = 50;

export class PlanPanel {
  #page;
  #draft;
  #acts;
  #part;

  // page: { templates, words, line, form, region }. acts: start(), choose(chosen), discard().
  constructor(page, draft, acts) {
    this.#page = page;
    this.#draft = draft;
    this.#acts = acts;
    this.#part = Part.clone(page.templates, "plan");
    this.#listen();
    this.#render();
    page.region.replaceChildren(this.#part.root);
    this.#part.slot("name").focus();
  }

  #listen() {
    const part = this.#part;
    part.on("start", () => this.#attempt(() => this.#start()));
    part.on("ask", () => this.#attempt(() => this.#ask()));
    part.on("choose", () => this.#attempt(() => this.#choose()));
    part.on("test", () => this.#attempt(() => testPicture(this.#page, part, this.#draft.pictures[0])));
    part.on("discard", () => this.#acts.discard());
    part.slot("reuse").addEventListener("change", () => this.#attempt(() => this.#priceAgain()));
  }

  async #attempt(act) {
    this.#part.set("error", "");
    try {
      await this.#part.during(act);
    } catch (error) {
      this.#part.set("error", error.message || this.#page.words.say("wentWrong"));
    }
  }

  async #priceAgain() {
    await this.#draft.price(this.#part.slot("reuse").checked);
    this.#render();
  }

  get #reused() {
    const { duplicates } = this.#draft.plan;
    return this.#part.slot("reuse").checked ? duplicates.map((each) => each.request_id) : [];
  }

  #render() {
    const { words, templates } = this.#page;
    const plan = this.#draft.plan;
    const part = this.#part;
    const free = plan.duplicates.length;
    part.set("name", this.#draft.name || words.say("newBatch"));
    part.set("line", this.#line(plan));
    part.set("verdict", this.#verdict(plan));
    part.set("unknown", plan.unknown ? words.say("unknown", { count: plan.unknown }) : "");
    part.show("duplicates", free > 0);
    part.slot("duplicates-text").textContent = free ? words.say("already", { count: free }) : "";
    part.set("start", this.#startText(plan));
    part.set("price", this.#price(plan));
    part.set("ask", this.#mayAsk(plan) ? words.say("ask", { count: plan.counts.missing, missing: plan.missing }) : "");
    part.slot("notes").replaceChildren();
    this.#draft.notes.render(part.slot("notes"), templates, words);
  }

  get #sum() {
    const { pictures: count, megapixels } = this.#draft.plan;
    return { count, megapixels };
  }

  #line({ pictures, about, at_most: most, available, counts }) {
    const { words } = this.#page;
    const left = [words.say("available", { available: available.pool })];
    if (available.allowance !== null) left.push(words.say("allowance", { allowance: available.allowance }));
    if (pictures === 0) return left.join(" · "); // all were cut out before, as the box below says
    const price = about === null
      ? words.say("atMost", { count: counts.at_most, most })
      : words.say("about", { count: counts.about, about, most });
    return [words.say("pictures", this.#sum), price, ...left].join(" · ");
  }

  #verdict({ pictures, fits, missing, owed, counts }) {
    const { words } = this.#page;
    if (pictures === 0) return "";
    if (fits >= pictures) return words.say("fitsAll");
    if (Number(owed) !== 0) return words.say("owing", { count: counts.owed, owed, missing }); // NaN if it has a comma
    if (fits) return words.say("fitsSome", { count: fits, missing });
    return words.say("fitsNone", { count: counts.missing, missing });
  }

  #startText({ pictures, fits }) {
    const { words } = this.#page;
    if (pictures === 0) return words.say("startFree");
    if (fits >= pictures) return words.say("start");
    return fits ? words.say("startSome", { count: fits, kept: pictures - fits }) : words.say("startNone", { count: pictures });
  }

  #price({ pictures, fits, at_most: most, after, counts }) {
    const { words } = this.#page;
    if (pictures === 0) return "";
    const count = counts.at_most;
    if (fits >= pictures) return words.say("price", { count, most, after });
    return words.say(fits ? "priceSome" : "priceNone", { count, most });
  }

  async #start() {
    if (this.#draft.plan.pictures > CONFIRMED_ABOVE && !(await this.#confirm())) return null;
    if (await this.#draft.reuse(this.#reused)) return this.#acts.start();
    await this.#priceAgain(); // the others cost credits, and the person sees how many before they start
    return this.#part.set("error", this.#page.words.say("reuseGone"));
  }

  #confirm() {
    const { words } = this.#page;
    const plan = this.#draft.plan;
    const dialog = dialogOf(document, "confirm");
    const fits = Math.min(plan.fits, plan.pictures);
    const kept = plan.pictures - fits;
    const free = this.#reused.length;
    const { pictures, about, after, at_most: most, counts } = plan;
    const facts = [
      words.say(kept ? "confirmMostOfAll" : "confirmMost", { count: counts.at_most, pictures, most }),
      !kept && about !== null && words.say("confirmAbout", { count: counts.about, about }),
      fits && words.say("confirmAfter", { count: counts.after, after }),
      kept && words.say("confirmKept", { count: kept }),
      free && words.say("confirmFree", { count: free }),
    ];
    dialog.set("title", words.say("confirm", { count: fits || kept }));
    dialog.set("yes", this.#startText(plan));
    const items = facts.filter(Boolean).map((text) => Object.assign(document.createElement("li"), { textContent: text }));
    dialog.slot("facts").replaceChildren(...items);
    return answer(dialog);
  }

  // What is kept starts by itself once the request is granted, so asking doesn't hold up the start.
  async #ask() {
    const { line, form, words } = this.#page;
    const { missing, counts } = this.#draft.plan;
    const body = new FormData();
    body.set("credits", missing);
    body.set("batch", this.#draft.id);
    const text = await line.send(form.dataset.ask, { body });
    this.#part.set("asked", text || words.say("asked", { count: counts.missing, missing }));
    this.#part.show("ask", false);
  }

  #mayAsk({ pictures, fits }) {
    return fits < pictures && Boolean(this.#page.form.dataset.ask);
  }

  async #choose() {
    const chosen = await chooseAmong(this.#page.words, this.#draft.pictures, this.#draft.plan.fits);
    if (chosen && chosen.size < this.#draft.pictures.length) await this.#acts.choose(chosen);
  }
}
