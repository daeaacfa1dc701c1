// Looks at one file after the other in a thread of its own, so that hashing gigabytes never stops the page.
// Gets { id, file, most } and answers { id, type, width, height, sha256 }, or { id, problem } with a word of the
// page. A file above most bytes isn't read; the server names its limit.

import { sniff } from "./dimensions.js";
import { sha256 } from "./sha256.js";

let before = Promise.resolve();

addEventListener("message", ({ data: { id, file, most } }) => {
  // In turn, so that only one file is in memory at a time.
  before = before.then(async () => postMessage({ id, ...(await inspect(file, most)) }));
});

async function inspect(file, most) {
  if (file.size === 0) return { problem: "empty" };
  if (file.size > most) return { type: "", width: null, height: null, sha256: "" };
  let buffer;
  try {
    buffer = await file.arrayBuffer();
  } catch {
    return { problem: "unreadable" }; // it was moved, changed or deleted, or its disk was unplugged
  }
  const picture = sniff(buffer);
  return picture ? { ...picture, sha256: await sha256(buffer) } : { problem: "notAPicture" };
}
