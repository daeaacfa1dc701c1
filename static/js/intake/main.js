// Takes pictures in, on the workspace and on a batch's page: each has a form[data-intake], #uploads, and the
// parts of templates/jobs/_intake.html. Without this script the workspace's form sends everything at once.

import { addressesOf } from "./addresses.js";
import { fetchAddresses } from "./addresses_dialog.js";
import { showBatchPage } from "./batch_page.js";
import { Draft } from "./draft.js";
import { Inspector } from "./inspect.js";
import { Line } from "./line.js";
import { Notes } from "./notes.js";
import { Part, templatesOf } from "./parts.js";
import { listen, pick } from "./pick.js";
import { PlanPanel } from "./plan.js";
import { ProgressPanel } from "./progress.js";
import { Resume } from "./resume.js";
import { TroubleNote } from "./trouble.js";
import { Uploader } from "./upload.js";
import { Words } from "./words.js";

class Intake {
  #page;
  #trouble;
  #draft = null;
  #looking = null;
  #uploader = null;
  #panel = null;
  #resume = null;
  #before = Promise.resolve();

  constructor(form) {
    this.#page = pageOf(form, (trouble) => this.#tell(trouble));
    this.#trouble = new TroubleNote(this.#page);
    document.body.classList.add("scripted");
    form.classList.add("scripted");
    listen(form, this.#takeInTurn);
    document.querySelector("[data-urls]")?.addEventListener("click", () => fetchAddresses(this.#page));
    addEventListener("beforeunload", (event) => {
      if (this.#uploader?.active) event.preventDefault();
    });
    if (form.dataset.batch) this.#belongTo(addressesOf(form.dataset.batches, form.dataset.batch));
  }

  // A drop during another one's inspection joins the same batch.
  #takeInTurn = (collection) => {
    this.#before = this.#before.then(() => this.#take(collection));
  };

  #belongTo(addresses) {
    this.#resume = new Resume(this.#page, addresses, {
      pick: (kind) => pick(this.#page.form, kind, this.#takeInTurn),
      upload: (files, notes) => this.#upload(files, notes, addresses),
      isOnItsWay: (requestId) => this.#uploader?.has(requestId),
    });
    this.#resume.look().catch(() => {}); // the page itself shows what is there
  }

  #tell(trouble) {
    this.#trouble.tell(this.#panel ? null : trouble);
    this.#panel?.tell(trouble);
  }

  async #take(collection) {
    try {
      if (this.#resume) await this.#resume.take(collection);
      else if (this.#uploader) this.#notice(null, this.#page.words.say("wait"));
      else await this.#plan(collection);
    } catch (error) {
      this.#draft = null;
      this.#notice(null, error.message || this.#page.words.say("wentWrong"));
    }
  }

  async #plan(collection) {
    const { line, words, form, inspector } = this.#page;
    const draft = (this.#draft ??= new Draft(line, words, form.dataset.batches));
    this.#lookAt(draft, collection.pictures.length);
    await draft.add(collection, inspector, (done, count) => this.#showLooking(done, count));
    if (this.#draft === draft) await this.#price(draft);
  }

  async #price(draft) {
    const { words } = this.#page;
    if (draft.pictures.length) {
      this.#looking?.set("line", words.say("registering"));
      await draft.price();
      if (this.#draft !== draft) return;
    }
    this.#looking = null;
    if (draft.pictures.length) this.#showPlan(draft);
    else this.#showNothing(draft);
  }

  #showPlan(draft) {
    new PlanPanel(this.#page, draft, {
      start: () => this.#start(draft),
      choose: async (chosen) => {
        this.#draft = draft.only(chosen);
        await this.#price(this.#draft);
      },
      discard: () => this.#discard(),
    });
  }

  #showNothing(draft) {
    this.#draft = null;
    this.#notice(draft.notes, this.#page.words.say("noPictures"));
  }

  #lookAt(draft, count) {
    const { templates, region } = this.#page;
    this.#looking = Part.clone(templates, "looking");
    this.#looking.on("discard", () => this.#discard());
    region.replaceChildren(this.#looking.root);
    this.#showLooking(0, count);
  }

  #showLooking(done, count) {
    if (!this.#looking) return;
    this.#looking.slot("bar").value = count ? done / count : 1;
    this.#looking.set("line", this.#page.words.say("looking", { done, count }));
  }

  #discard() {
    this.#draft = null;
    this.#looking = null;
    this.#page.region.replaceChildren();
    document.querySelector("[data-pick=files]")?.focus();
  }

  #start(draft) {
    if (draft.pictures.length === 0) return location.assign(draft.addresses.batch);
    this.#draft = null;
    this.#page.region.replaceChildren();
    this.#upload(draft.pictures, draft.notes, draft.addresses);
    return this.#move(draft.addresses);
  }

  async #move(addresses) {
    if (!(await showBatchPage(addresses.batch))) return this.#panel.offer(addresses.batch);
    this.#page.region.prepend(this.#panel.part.root);
    return this.#belongTo(addresses);
  }

  #upload(files, notes, addresses) {
    this.#uploader ??= new Uploader(this.#page.line, addresses, () => this.#changed());
    this.#panel?.part.root.remove();
    this.#panel = new ProgressPanel(this.#page, this.#uploader, notes);
    this.#page.region.prepend(this.#panel.part.root);
    this.#uploader.add(files);
    this.#panel.draw();
  }

  #changed() {
    this.#panel.update();
    const over = this.#uploader.in("waiting", "sending").length === 0;
    if (over) this.#resume?.look().catch(() => {}); // what couldn't be read can be chosen again
  }

  #notice(notes, error) {
    const { templates, words, region } = this.#page;
    const notice = Part.clone(templates, "notice");
    notice.set("error", error);
    notice.on("dismiss", () => notice.root.remove());
    (notes ?? new Notes()).render(notice.slot("notes"), templates, words);
    this.#looking?.root.remove();
    this.#looking = null;
    region.append(notice.root);
  }
}

function pageOf(form, tell) {
  return {
    form,
    words: new Words(document.querySelector("[data-intake-words]")),
    templates: templatesOf(document),
    inspector: new Inspector(form.dataset.worker),
    line: new Line(form.elements.csrfmiddlewaretoken.value, form.dataset.home, tell),
    get region() {
      return document.querySelector("#uploads");
    },
  };
}

// A batch's page that leaves the parts out still shows an upload that began on the workspace.
const form = document.querySelector("form[data-intake]");
if (form && document.querySelector("[data-intake-words]")) new Intake(form);
