// A part of the page, cloned from its template: slots that get texts, and buttons that do something.

export class Part {
  constructor(root) {
    this.root = root;
  }

  // Cloned from the first document, because the pages after it needn't have the templates.
  static clone(templates, name) {
    return new Part(templates[name].content.firstElementChild.cloneNode(true));
  }

  slot(name) {
    return this.root.querySelector(`[data-slot="${name}"]`);
  }

  // A slot without a text isn't there.
  set(name, text) {
    const slot = this.slot(name);
    slot.textContent = text ?? "";
    slot.hidden = !text;
  }

  show(name, shown) {
    this.slot(name).hidden = !shown;
  }

  on(name, act) {
    for (const button of this.root.querySelectorAll(`[data-do="${name}"]`)) button.addEventListener("click", act);
  }

  // While something is under way, its buttons can't be pressed again.
  async during(work) {
    const buttons = [...this.root.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    try {
      return await work();
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }
}

export function templatesOf(page) {
  const all = page.querySelectorAll("template[data-part]");
  return Object.fromEntries(Array.from(all, (template) => [template.dataset.part, template]));
}

export function dialogOf(page, name) {
  return new Part(page.querySelector(`dialog[data-dialog="${name}"]`));
}

// Resolves to true if the dialog was closed with "yes". Esc and a press beside it are a no.
export function answer({ root }) {
  root.returnValue = "";
  root.showModal();
  return new Promise((resolve) => {
    root.addEventListener("close", () => resolve(root.returnValue === "yes"), { once: true });
  });
}
