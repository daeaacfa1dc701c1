// Reads the type, the width and the height of a picture from its bytes. Browsers take the type from a file's
// name, and can't decode all of these formats.
//
// sniff(buffer) returns { type, width, height }, with null for a size that can't be told, or null if this is no
// picture of a type that we take. A damaged header must not throw: the server looks again, more thoroughly.

export function sniff(buffer) {
  const view = new DataView(buffer);
  const type = typeOf(view);
  if (!type) return null;
  const [width, height] = sizeOf(view, type) ?? [];
  return width > 0 && height > 0 ? { type, width, height } : { type, width: null, height: null };
}

function sizeOf(view, type) {
  try {
    return READERS[type](view);
  } catch {
    return null; // the file ends before its header does, or lacks a part of it
  }
}

const READERS = { jpeg, png, gif, webp, bmp, tiff, heic: heif, avif: heif };
const HEIC_BRANDS = ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"];

function typeOf(view) {
  if (view.byteLength < 16) return null;
  if (view.getUint16(0) === 0xffd8) return "jpeg";
  if (text(view, 0, 8) === "\x89PNG\r\n\x1a\n") return "png";
  if (["GIF87a", "GIF89a"].includes(text(view, 0, 6))) return "gif";
  if (text(view, 0, 4) === "RIFF" && text(view, 8, 4) === "WEBP") return "webp";
  if (text(view, 0, 2) === "BM") return "bmp";
  if (["II*\0", "MM\0*"].includes(text(view, 0, 4))) return "tiff";
  return text(view, 4, 4) === "ftyp" ? heifType(view) : null;
}

function text(view, at, length) {
  return String.fromCharCode(...new Uint8Array(view.buffer, at, length));
}

// Start-of-frame markers are C0–CF without C4 (Huffman tables), C8 (reserved) and CC (arithmetic coding).
function jpeg(view) {
  let at = 2;
  while (view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1; // a fill byte
    } else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2; // a marker without a segment
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return [view.getUint16(at + 7), view.getUint16(at + 5)];
    } else {
      at += 2 + view.getUint16(at + 2);
    }
  }
  return null;
}

function png(view) {
  return [view.getUint32(16), view.getUint32(20)];
}

function gif(view) {
  return [view.getUint16(6, true), view.getUint16(8, true)];
}

function webp(view) {
  const u24 = (at) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  switch (text(view, 12, 4)) {
    case "VP8 ": // a key frame's start code, then 14 bits each
      return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
    case "VP8L": {
      const bits = view.getUint32(21, true);
      return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
    }
    case "VP8X":
      return [u24(24) + 1, u24(27) + 1];
    default:
      return null;
  }
}

// A height below zero means that the rows begin at the top.
function bmp(view) {
  if (view.getUint32(14, true) === 12) return [view.getUint16(18, true), view.getUint16(20, true)];
  return [view.getInt32(18, true), Math.abs(view.getInt32(22, true))];
}

// The first image file directory; its values of type 3 are short, those of type 4 long.
function tiff(view) {
  const little = text(view, 0, 2) === "II";
  const directory = view.getUint32(4, little);
  const values = {};
  for (let n = 0; n < view.getUint16(directory, little); n += 1) {
    const at = directory + 2 + n * 12;
    const short = view.getUint16(at + 2, little) === 3;
    values[view.getUint16(at, little)] = short ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little);
  }
  return [values[256], values[257]];
}

// The HEIF container (ISO/IEC 23008-12): boxes in boxes -----------------------------------------------------

function heifType(view) {
  const end = Math.min(view.getUint32(0), view.byteLength, 256);
  const brands = [];
  for (let at = 8; at + 4 <= end; at += 4) brands.push(text(view, at, 4));
  if (brands.includes("avif") || brands.includes("avis")) return "avif";
  return brands.some((brand) => HEIC_BRANDS.includes(brand)) ? "heic" : null;
}

// The size (ispe) of the primary item, or what a clean aperture (clap) leaves of it: encoders round up odd sizes.
// A photo also has items for its tiles and its thumbnail.
function heif(view) {
  const meta = boxes(view, 0, view.byteLength).meta;
  const inside = boxes(view, meta.start + 4, meta.end);
  const properties = boxes(view, inside.iprp.start, inside.iprp.end);
  const sizes = sizesIn(view, properties.ipco);
  const own = associated(view, properties.ipma, primaryItem(view, inside.pitm));
  const size = (type) => sizes.find((each) => each.type === type && own.includes(each.index))?.size;
  return size("clap") ?? size("ispe") ?? largest(sizes.map((each) => each.size));
}

function boxes(view, start, end) {
  return Object.fromEntries([...eachBox(view, start, end)].map((box) => [box.type, box]));
}

function* eachBox(view, start, end) {
  for (let at = start; at + 8 <= end; ) {
    let length = view.getUint32(at);
    let header = 8;
    if (length === 1) [length, header] = [Number(view.getBigUint64(at + 8)), 16];
    if (length === 0) length = end - at; // the box lasts to the end
    if (length < header) throw new RangeError("a box without its header");
    yield { type: text(view, at + 4, 4), start: at + header, end: Math.min(at + length, end) };
    at += length;
  }
}

function sizesIn(view, { start, end }) {
  // Properties are referred to by their place, counted from 1.
  return [...eachBox(view, start, end)].flatMap((box, at) => {
    const u32 = (index) => view.getUint32(box.start + index * 4);
    if (box.type === "ispe") return [{ type: "ispe", index: at + 1, size: [u32(1), u32(2)] }];
    if (box.type === "clap") return [{ type: "clap", index: at + 1, size: [u32(0) / u32(1), u32(2) / u32(3)] }];
    return [];
  });
}

function primaryItem(view, { start }) {
  return view.getUint8(start) === 0 ? view.getUint16(start + 4) : view.getUint32(start + 4);
}

// The indices of the item's properties. Their width and that of the item's number depend on version and flags.
function associated(view, { start }, wanted) {
  const longItems = view.getUint8(start) > 0;
  const longIndices = (view.getUint8(start + 3) & 1) === 1;
  let at = start + 8;
  for (let entries = view.getUint32(start + 4); entries > 0; entries -= 1) {
    const item = longItems ? view.getUint32(at) : view.getUint16(at);
    at += longItems ? 4 : 2;
    const count = view.getUint8(at);
    at += 1;
    const indices = Array.from({ length: count }, (_, n) =>
      longIndices ? view.getUint16(at + n * 2) & 0x7fff : view.getUint8(at + n) & 0x7f,
    );
    at += count * (longIndices ? 2 : 1);
    if (item === wanted) return indices;
  }
  return [];
}

function largest(sizes) {
  return sizes.sort(([a, b], [c, d]) => c * d - a * b)[0] ?? null;
}
