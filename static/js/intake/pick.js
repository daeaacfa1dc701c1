// The ways in: drop, paste, the browser's choosers, and the key of a button. take gets each collection.

import { fromDrop, fromList } from "./collect.js";

const KINDS = {
  files: ({ accept }) => ({ multiple: true, accept }),
  folder: () => ({ webkitdirectory: true }),
  camera: () => ({ accept: "image/*", capture: "environment" }),
};
const inputs = {};

export function listen(form, take) {
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-pick]");
    if (button) pick(form, button.dataset.pick, take);
  });
  form.elements.image?.addEventListener("change", ({ target }) => takeFrom(target, take));
  document.addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData?.files.length) take(fromList(clipboardData.files));
  });
  document.addEventListener("keydown", press);
  listenToDrops(take);
}

// Opens the browser's chooser. Its input belongs to the page and not to the form, which may be replaced.
export function pick(form, kind, take) {
  inputs[kind] ??= newInput(KINDS[kind](form.dataset), take);
  inputs[kind].click();
}

function newInput(settings, take) {
  const input = Object.assign(document.createElement("input"), { type: "file", hidden: true }, settings);
  input.addEventListener("change", () => takeFrom(input, take));
  document.body.append(input);
  return input;
}

// Emptied afterwards, so that the same files can be chosen again.
function takeFrom(input, take) {
  const collection = fromList(input.files);
  input.value = "";
  take(collection);
}

function listenToDrops(take) {
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    document.body.classList.remove("dropping");
    take(await fromDrop(event.dataTransfer));
  });
}

function hasFiles({ dataTransfer }) {
  return dataTransfer?.types.includes("Files");
}

// Keys are declared on the button that they press.
function press(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
  const button = document.querySelector(`[data-pick][data-hotkey="${CSS.escape(event.key)}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
}
