// What keeps the line to the server from working, and what happens next.

import { Part } from "./parts.js";

export function troubleText(words, { kind, until = 0 }) {
  return words.say(kind, { seconds: words.duration((until - Date.now()) / 1000) });
}

// Shown above whatever is waiting for the line, as long as nothing else shows it.
export class TroubleNote {
  #page;
  #part = null;

  constructor(page) {
    this.#page = page;
  }

  tell(trouble) {
    if (!trouble) {
      this.#part?.root.remove();
      this.#part = null;
      return;
    }
    const { templates, words, form, region } = this.#page;
    this.#part ??= Part.clone(templates, "trouble");
    this.#part.set("trouble", troubleText(words, trouble));
    this.#part.slot("sign-in").href = form.dataset.signIn;
    this.#part.show("sign-in", trouble.kind === "signedOut");
    region.prepend(this.#part.root);
  }
}
