// The list in which a person marks the pictures to cut out now. Thumbnails are made small and only where they are
// seen: three hundred photos at their full size would take gigabytes.

import { answer, dialogOf } from "./parts.js";

const THUMBNAIL_PIXELS = 96;

// Resolves to the set of the chosen pictures' ids, or to null.
export async function chooseAmong(words, pictures, fits) {
  const dialog = dialogOf(document, "choose");
  const items = pictures.map((picture) => itemOf(picture, words));
  const boxes = items.map((item) => item.querySelector("input"));
  const list = dialog.slot("items");
  list.replaceChildren(...items);
  const stop = new AbortController();
  const mark = (few) => {
    boxes.forEach((box, index) => { box.checked = index < few; });
    count();
  };
  const count = () => {
    const chosen = pictures.filter((_, index) => boxes[index].checked);
    const pixels = chosen.reduce((sum, { width, height }) => sum + width * height, 0);
    dialog.set("count", words.say("chosen", { count: chosen.length, megapixels: words.megapixels(pixels) }));
    dialog.slot("yes").disabled = chosen.length === 0;
  };
  const press = (name, few) => {
    const button = dialog.root.querySelector(`[data-do="${name}"]`);
    button.addEventListener("click", () => mark(few), { signal: stop.signal });
  };
  press("all", pictures.length);
  press("none", 0);
  press("fitting", fits);
  const fewer = fits > 0 && fits < pictures.length;
  dialog.set("fitting", fewer ? words.say("fitting", { count: fits }) : "");
  list.addEventListener("change", count, { signal: stop.signal });
  mark(fewer ? fits : pictures.length);
  const seen = drawWhenSeen(items, pictures, list);
  const yes = await answer(dialog);
  seen.disconnect();
  stop.abort();
  const chosen = pictures.filter((_, index) => boxes[index].checked).map(({ requestId }) => requestId);
  list.replaceChildren();
  return yes ? new Set(chosen) : null;
}

function itemOf({ name, folder, bytes, width, height }, words) {
  const item = document.createElement("li");
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox" });
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMBNAIL_PIXELS;
  canvas.setAttribute("aria-hidden", "true");
  const title = Object.assign(document.createElement("bdi"), { textContent: name, className: "name" });
  const size = width ? `${words.megapixels(width * height)} MP` : words.size(bytes);
  const facts = Object.assign(document.createElement("span"), { className: "facts" });
  const where = Object.assign(document.createElement("bdi"), { textContent: folder });
  facts.append(size, folder ? " · " : "", where);
  label.append(box, canvas, title, facts);
  item.append(label);
  return item;
}

function drawWhenSeen(items, pictures, root) {
  const indexOf = new Map(items.map((item, index) => [item, index]));
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      draw(target.querySelector("canvas"), pictures[indexOf.get(target)]);
    }
  }, { root, rootMargin: "200px" });
  for (const item of items) observer.observe(item);
  return observer;
}

// A format that this browser can't show stays an empty square; its name says what it is.
async function draw(canvas, { file }) {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = THUMBNAIL_PIXELS / Math.max(bitmap.width, bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const [left, top] = [(THUMBNAIL_PIXELS - width) / 2, (THUMBNAIL_PIXELS - height) / 2];
    canvas.getContext("2d").drawImage(bitmap, left, top, width, height);
    bitmap.close();
  } catch {
    canvas.classList.add("unknown");
  }
}
