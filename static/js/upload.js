// Uploads dropped, pasted or chosen pictures one by one, each with its own progress and response.
// For templates/jobs/workspace.html; without this script the form there sends everything at once.

const AT_ONCE = 3;
const form = document.querySelector("[data-upload]");
const pending = document.querySelector("[data-pending]");
const template = document.querySelector("#pending");
const words = document.querySelector("[data-words]").dataset;
const waiting = [];
let sending = 0;

// crypto.randomUUID exists on https and localhost only, and a team may run this on a plain http host.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function add(files) {
  for (const file of files) {
    const upload = { file, id: uuid(), tile: showTile(file) };
    upload.tile.querySelector("[data-retry]").addEventListener("click", () => enqueue(upload));
    upload.tile.querySelector("[data-dismiss]").addEventListener("click", () => dismiss(upload.tile));
    enqueue(upload);
  }
}

// A folder's own file object can't be read, so its pictures are added instead. The entries must be read before
// the first await, because the browser discards the drop then.
async function addDropped({ items, files }) {
  const entries = Array.from(items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return add(files);
  for (const entry of entries) {
    if (entry.isFile) {
      add([await fileOf(entry)]);
    } else {
      await addFolder(entry);
    }
  }
}

async function addFolder(folder) {
  try {
    const pictures = (await filesIn(folder)).filter(({ type }) => form.elements.image.accept.includes(type || "none"));
    add(pictures);
    if (pictures.length === 0) showNote(folder.name, words.empty);
  } catch {
    showNote(folder.name, words.unreadable);
  }
}

async function filesIn(folder) {
  const reader = folder.createReader();
  const files = [];
  let entries;
  do {
    // readEntries returns at most a hundred entries at once.
    entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    for (const entry of entries) files.push(...(entry.isFile ? [await fileOf(entry)] : await filesIn(entry)));
  } while (entries.length > 0);
  return files;
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

function showNote(name, text) {
  const tile = newTile(name);
  tile.querySelector(".tile-picture").remove();
  tile.querySelector("[data-dismiss]").addEventListener("click", () => dismiss(tile));
  refuse(tile, 400, text);
}

function newTile(name) {
  const tile = template.content.firstElementChild.cloneNode(true);
  tile.querySelector(".name").textContent = name;
  pending.append(tile);
  return tile;
}

function showTile(file) {
  const tile = newTile(file.name);
  const image = tile.querySelector("img");
  image.addEventListener("error", () => image.parentElement.remove());
  image.src = URL.createObjectURL(file);
  return tile;
}

function dismiss(tile) {
  const image = tile.querySelector("img");
  if (image) URL.revokeObjectURL(image.src);
  tile.remove();
}

function enqueue(upload) {
  upload.tile.classList.remove("refused");
  upload.tile.querySelector(".actions").hidden = true;
  waiting.push(upload);
  next();
}

function next() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    send(waiting.shift());
  }
}

// Sending a folder, or a file that was moved or changed meanwhile, would look like a lost connection.
async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

async function send(upload) {
  if (!(await isReadable(upload.file))) {
    finish(upload, { status: 400, responseText: words.unreadable });
    return;
  }
  const request = new XMLHttpRequest();
  const body = new FormData();
  body.set("batch", form.elements.batch.value);
  body.set("request_id", upload.id);
  body.set("image", upload.file, upload.file.name);
  request.open("POST", form.action);
  request.setRequestHeader("HX-Request", "true");
  request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
  request.upload.addEventListener("progress", (event) => showProgress(upload.tile, event));
  request.addEventListener("loadend", () => finish(upload, request));
  say(upload.tile, "run", words.sending);
  request.send(body);
}

function showProgress(tile, { loaded, total }) {
  const progress = tile.querySelector("progress");
  progress.hidden = false;
  progress.value = total ? loaded / total : 0;
  if (loaded === total) say(tile, "run", words.checking);
}

function finish(upload, { status, responseText }) {
  sending -= 1;
  if (status === 201) {
    dismiss(upload.tile);
    refresh();
  } else {
    refuse(upload.tile, status, responseText);
  }
  next();
}

// Offer to retry unless the refusal was about the picture itself. The server recognises the picture by its id,
// so it can't become two jobs.
function refuse(tile, status, text) {
  const ours = status === 0 || status >= 500;
  const page = text === "" || text.startsWith("<");
  const message = status === 0 ? words.offline : page ? words.failed : text;
  tile.classList.add("refused");
  tile.querySelector("progress").hidden = true;
  tile.querySelector(".actions").hidden = false;
  tile.querySelector("[data-retry]").hidden = ![401, 402, 403].includes(status) && !ours;
  say(tile, "fail", message);
}

function say(tile, tone, text) {
  const state = tile.querySelector(".state");
  const use = state.querySelector("use");
  state.className = `state ${tone}`;
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${tone}`));
  state.querySelector("[data-text]").textContent = text;
}

let refreshing = false;
async function refresh() {
  const { address } = document.querySelector("#batch").dataset;
  history.replaceState(null, "", `?batch=${form.elements.batch.value}`);
  if (refreshing) return;
  refreshing = true;
  await htmx.ajax("GET", address, { target: "#batch", swap: "outerHTML" });
  refreshing = false;
}

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

if (form) {
  const input = form.elements.image;
  form.classList.add("scripted");
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    document.body.classList.remove("dropping");
    addDropped(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => add(event.clipboardData.files));
  document.addEventListener("keydown", (event) => {
    if (event.key === "u" && !event.ctrlKey && !event.metaKey && !event.altKey && event.target === document.body) input.click();
  });
}
