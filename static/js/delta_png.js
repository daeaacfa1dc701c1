// Restores a cut-out from a delta PNG and its original; see § 6 of the contract and pixian/imaging/delta_png.py.
// A canvas would lose the colours under alpha 0, which mark the pixels to copy, so the PNG is decoded here.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const EIGHT_BIT_RGBA = [8, 6, 0, 0, 0];
const PIXEL = 4;

// Returns the cut-out as ImageData with straight alpha, in the delta's colour space. original: the Blob that was
// uploaded, an ImageBitmap in that colour space, or { data, width, height } in RGBA. delta: an ArrayBuffer.
// Rejects with a RangeError if the sizes differ, and a TypeError for an incomplete or not 8-bit RGBA PNG.
export async function decodeDelta(original, delta) {
  const png = await readPng(delta);
  const pixels = await readOriginal(original, png.hasProfile);
  return new ImageData(restore(pixels, png), png.width, png.height);
}

// Takes { data, width, height } in RGBA; returns the cut-out's data, which overwrites the delta's.
export function restore(original, delta) {
  if (original.width !== delta.width || original.height !== delta.height) {
    throw new RangeError(
      `The original is ${original.width} × ${original.height}, the delta ${delta.width} × ${delta.height}`,
    );
  }
  const { data } = delta;
  for (let at = 0; at < data.length; at += PIXEL) {
    if (data[at + 3] === 0 && data[at] === 255) {
      data[at] = original.data[at];
      data[at + 1] = original.data[at + 1];
      data[at + 2] = original.data[at + 2];
      data[at + 3] = 255;
    }
  }
  return data;
}

// Decodes an 8-bit RGBA PNG that isn't interlaced to { data, width, height, hasProfile }.
export async function readPng(buffer) {
  const { header, compressed, hasProfile } = readChunks(new Uint8Array(buffer));
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (EIGHT_BIT_RGBA.some((value, index) => header[8 + index] !== value)) {
    throw new TypeError("A delta PNG has 8 bits, RGBA, and isn't interlaced");
  }
  const rows = await inflate(compressed, height * (1 + width * PIXEL));
  return { data: unfilter(rows, width, height), width, height, hasProfile };
}

// Returns the original's pixels, upright, as the encoder saw them. With a profile it kept the original's values;
// without one it converted them to sRGB, as the browser does by default. The pixels to copy are opaque, so a
// canvas returns them unchanged.
async function readOriginal(original, hasProfile) {
  if (original.data) return original;
  const colorSpaceConversion = hasProfile ? "none" : "default";
  const bitmap =
    original instanceof Blob
      ? await createImageBitmap(original, { colorSpaceConversion, imageOrientation: "from-image" })
      : original;
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  if (bitmap !== original) bitmap.close();
  return context.getImageData(0, 0, width, height);
}

// The chunks' checksums are ignored: zlib's own covers all inflated data, and shows if it is complete.
function readChunks(bytes) {
  if (SIGNATURE.some((value, index) => bytes[index] !== value)) throw new TypeError("This isn't a PNG");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const compressed = [];
  let [header, hasProfile] = [null, false];
  for (let at = SIGNATURE.length; at + 12 <= bytes.length; ) {
    const end = at + 8 + view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "IHDR") header = bytes.subarray(at + 8, end);
    if (kind === "iCCP") hasProfile = true;
    if (kind === "IDAT") compressed.push(bytes.subarray(at + 8, end));
    at = end + 4;
  }
  if (header?.length !== 13) throw new TypeError("The PNG has no header");
  return { header, compressed, hasProfile };
}

async function inflate(parts, length) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  const rows = new Uint8Array(length);
  let filled = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    if (filled + read.value.length > length) throw new TypeError("The PNG holds more than its size says");
    rows.set(read.value, filled);
    filled += read.value.length;
  }
  if (filled !== length) throw new TypeError("The PNG holds less than its size says");
  return rows;
}

// Each row begins with the number of its filter. Source: PNG specification, § 9.
function unfilter(rows, width, height) {
  const stride = width * PIXEL;
  const data = new Uint8ClampedArray(stride * height);
  let above = new Uint8Array(stride);
  for (let row = 0; row < height; row += 1) {
    const start = row * (stride + 1);
    const line = rows.subarray(start + 1, start + 1 + stride);
    const undo = FILTERS[rows[start]];
    if (!undo) throw new TypeError(`The PNG has an unknown filter, ${rows[start]}`);
    undo(line, above);
    data.set(line, row * stride);
    above = line;
  }
  return data;
}

// In place; `line` wraps at 256 on its own.
const FILTERS = [
  () => {},
  (line) => {
    for (let at = PIXEL; at < line.length; at += 1) line[at] += line[at - PIXEL];
  },
  (line, above) => {
    for (let at = 0; at < line.length; at += 1) line[at] += above[at];
  },
  (line, above) => {
    for (let at = 0; at < line.length; at += 1) line[at] += ((line[at - PIXEL] ?? 0) + above[at]) >> 1;
  },
  (line, above) => {
    for (let at = 0; at < line.length; at += 1) {
      line[at] += paeth(line[at - PIXEL] ?? 0, above[at], above[at - PIXEL] ?? 0);
    }
  },
];

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [byLeft, byUp, byCorner] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  if (byLeft <= byUp && byLeft <= byCorner) return left;
  return byUp <= byCorner ? up : corner;
}
