// Gathers the files that somebody drops, pastes, chooses or photographs, whole folders with all below them.
// Every way ends in a collection: { pictures: [{ file, folder }], others, folders }. others counts the files that
// don't look like pictures by their names; folders are the names of the folders at the top.

const ENDINGS = /\.(avif|bmp|gif|heic|heif|hif|jfif|jpe|jpeg|jpg|png|tif|tiff|webp)$/i;
const OF_THE_SYSTEM = /^(\.|thumbs\.db$|desktop\.ini$)/i; // nobody knows that they are there

// Names in the order in which people read them: 2 before 10.
const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" }).compare;

export function fromList(files) {
  const found = Array.from(files, (file) => ({ file, folder: folderOf(file.webkitRelativePath) }));
  return collection(found);
}

// The entries must be read before the first await, because the browser discards the drop then.
export async function fromDrop({ items, files }) {
  const entries = Array.from(items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return fromList(files);
  const found = [];
  const unreadable = [];
  for (const entry of entries) await walk(entry, found, unreadable);
  const names = entries.filter((entry) => entry.isDirectory).map(({ name }) => name);
  return { ...collection(found), folders: names, unreadable };
}

// A file or folder that can't be read is named, and the others are taken.
async function walk(entry, found, unreadable) {
  try {
    if (entry.isFile) {
      found.push({ file: await fileOf(entry), folder: folderOf(entry.fullPath) });
      return;
    }
    for (const inside of await entriesOf(entry)) await walk(inside, found, unreadable);
  } catch {
    unreadable.push(entry.name);
  }
}

async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  let some;
  do {
    // readEntries returns at most a hundred entries at once.
    some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    entries.push(...some);
  } while (some.length > 0);
  return entries;
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

function folderOf(path) {
  return (path ?? "").split("/").filter(Boolean).slice(0, -1).join("/");
}

function collection(found) {
  const visible = found.filter(({ file }) => !OF_THE_SYSTEM.test(file.name));
  const pictures = visible.filter(({ file }) => file.type.startsWith("image/") || ENDINGS.test(file.name));
  pictures.sort((a, b) => order(a.folder, b.folder) || order(a.file.name, b.file.name));
  const folders = [...new Set(pictures.map(({ folder }) => folder.split("/")[0]).filter(Boolean))];
  return { pictures, others: visible.length - pictures.length, folders, unreadable: [] };
}
