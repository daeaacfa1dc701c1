// Shows a style while its form is changed. A request that is overtaken is cancelled, and the picture is
// replaced only once the next one is decoded, so that nothing flickers. Without this script the form is sent.
// The listeners are on the document, so that they also serve a form that htmx inserts later.
import { fillIn, styleOf } from "./style_of.js";

const PAUSE_MS = 120; // after a key press or a slider's move, in which another one may follow
const BUSY = 503;
const PLAIN = "{}";
const pending = new WeakMap(); // the request for each form, or the wait before it

document.addEventListener("input", ({ target }) => {
  const form = target.closest?.("form[data-style]");
  if (!form) return;
  const output = target.type === "range" && target.parentElement.querySelector("output");
  if (output) output.textContent = target.value;
  showSoon(form);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-query]");
  const form = link?.closest(".styling")?.querySelector("form[data-style]");
  if (!form || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  fillIn(form, link.dataset.query);
  for (const output of form.querySelectorAll("output")) output.textContent = output.previousElementSibling.value;
  showSoon(form);
});

document.documentElement.classList.add("scripted");

function showSoon(form) {
  pending.get(form)?.abort();
  const request = new AbortController();
  pending.set(form, request);
  for (const link of form.querySelectorAll("a[data-link]")) {
    link.search = new URLSearchParams({ style: styleOf(form) });
  }
  if (form.method === "get") history.replaceState(null, "", `?${new URLSearchParams(new FormData(form))}#style`);
  setTimeout(() => show(form, request.signal), PAUSE_MS);
}

async function show(form, signal) {
  if (signal.aborted) return;
  const stage = document.getElementById(form.dataset.stage);
  if (styleOf(form) === PLAIN && unstyled(stage)) return;
  stage.ariaBusy = "true";
  try {
    const picture = await load(form, signal);
    if (!signal.aborted) replace(stage, picture, form.dataset.alt);
    note(form, "");
  } catch (error) {
    if (!signal.aborted) note(form, error.message || form.dataset.failed);
  } finally {
    if (!signal.aborted) stage.ariaBusy = "false";
  }
}

async function load(form, signal) {
  const address = `${form.dataset.style}?${new URLSearchParams({ style: styleOf(form) })}`;
  // With this header, a session that has ended is an error rather than the sign-in page.
  const headers = { "HX-Request": "true" };
  let response = await fetch(address, { signal, headers }).catch(() => { throw new Error(form.dataset.failed); });
  if (response.status === BUSY) {
    await new Promise((done) => { setTimeout(done, 1000 * (Number(response.headers.get("Retry-After")) || 1)); });
    response = await fetch(address, { signal, headers });
  }
  const isText = response.headers.get("Content-Type")?.startsWith("text/plain");
  if (!response.ok) throw new Error(isText ? await response.text() : form.dataset.failed);
  const picture = new Image();
  picture.src = URL.createObjectURL(await response.blob());
  await picture.decode();
  return picture;
}

function replace(stage, picture, alt) {
  const shown = stage.querySelector("[data-styled]");
  picture.className = "single checker";
  picture.alt = alt;
  picture.dataset.styled = "";
  if (shown) shown.replaceWith(picture);
  else stage.append(picture);
  stage.classList.add("styled");
  if (shown?.src.startsWith("blob:")) URL.revokeObjectURL(shown.src);
}

// Brings back what the page showed without a style, such as the slider; false if it showed nothing else.
function unstyled(stage) {
  if (!stage.querySelector(":scope > :not([data-styled])")) return false;
  stage.querySelector("[data-styled]")?.remove();
  stage.classList.remove("styled");
  stage.ariaBusy = "false";
  return true;
}

function note(form, text) {
  const place = form.querySelector("[data-note]");
  place.textContent = text;
  place.hidden = !text;
}
