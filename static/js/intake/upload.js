// Uploads a batch's files, a few at a time and in their order. A large file goes in chunks, and on from the byte
// that the server has. Stopping loses nothing: what isn't uploaded stays on the batch's list.

import { Refusal, SlowLineError } from "./line.js";
import { Pace } from "./pace.js";

const MOST_STALLS = 5;
const RATE_SECONDS = 10;
const CONFLICT = 409; // the server has another part of the file than we thought, so ask it which
// Refusals that aren't about the picture, so that trying again makes sense.
const isOurs = (status) => [402, 403, 404, 429].includes(status) || status >= 500;

class UnreadableError extends Error {}

export class Uploader {
  files = []; // { requestId, file, name, folder, bytes, sent, state, problem | message }
  paused = false;
  #line;
  #batch;
  #tell;
  #sending = 0;
  #stop = new AbortController();
  #rate = new Rate();
  #pace = new Pace();

  // batch: the addresses { upload, chunk(requestId) }. tell: called after each change.
  constructor(line, batch, tell) {
    this.#line = line;
    this.#batch = batch;
    this.#tell = tell;
  }

  add(files) {
    // A file that couldn't be read may have been chosen again.
    this.files = this.files.filter((each) => !each.problem || !files.some(({ requestId }) => requestId === each.requestId));
    const known = new Set(this.files.map(({ requestId }) => requestId));
    const fresh = files.filter(({ requestId }) => !known.has(requestId));
    this.files.push(...fresh.map((file) => ({ ...file, sent: 0, state: "waiting" })));
    this.#next();
    return fresh.length;
  }

  pause() {
    this.paused = true;
    this.#stop.abort();
    this.#tell();
  }

  resume() {
    this.paused = false;
    this.#stop = new AbortController();
    this.#rate = new Rate();
    this.#next();
  }

  // Try again what failed for a reason of ours.
  retry() {
    for (const item of this.files.filter(({ state }) => state === "failed")) item.state = "waiting";
    this.resume();
  }

  has(requestId) {
    return this.files.some((each) => each.requestId === requestId && each.state !== "refused");
  }

  in(...states) {
    return this.files.filter(({ state }) => states.includes(state));
  }

  get active() {
    return !this.paused && this.in("waiting", "sending").length > 0;
  }

  get slow() {
    return this.#pace.isSlow;
  }

  get progress() {
    const todo = this.in("waiting", "sending", "done");
    const sum = (key) => todo.reduce((total, item) => total + item[key], 0);
    const [bytes, sent] = [sum("bytes"), sum("sent")];
    const rate = this.#rate.of(sent);
    const left = rate > 0 ? (bytes - sent) / rate : null;
    return { count: todo.length, done: this.in("done").length, bytes, sent, rate, left };
  }

  #next() {
    while (!this.paused && this.#sending < this.#pace.atOnce) {
      const item = this.files.find(({ state }) => state === "waiting");
      if (!item) break;
      this.#sending += 1;
      item.state = "sending";
      this.#send(item, this.#stop.signal);
    }
    this.#tell();
  }

  async #send(item, signal) {
    try {
      await (item.bytes > this.#pace.bytes ? this.#inChunks(item, signal) : this.#whole(item, signal));
      item.state = "done";
      item.sent = item.bytes;
      item.file = null; // lets go of the memory
    } catch (error) {
      settle(item, error, signal);
    } finally {
      this.#sending -= 1;
      this.#next();
    }
  }

  #whole(item, signal) {
    const body = new FormData();
    body.set("request_id", item.requestId);
    body.set("image", item.file, item.name);
    const options = { body, signal, check: () => readable(item.file), adapts: true };
    return this.#pace.run(item.bytes, () => this.#line.send(this.#batch.upload, options));
  }

  async #inChunks(item, signal) {
    const address = this.#batch.chunk(item.requestId);
    const look = async () => (await this.#line.json(address, { method: "GET", signal })).received;
    let received = item.tried ? await look() : 0;
    item.tried = true;
    let assemblies = 0;
    for (let stalls = 0; ; ) {
      this.#note(item, received);
      const before = received;
      try {
        if (received >= item.bytes) {
          assemblies += 1;
          return await this.#assemble(item, signal);
        }
        if (this.#sending > this.#pace.atOnce) throw new SlowLineError(); // its turn comes again
        received = (await this.#chunk(address, item, received, signal)).received;
      } catch (error) {
        if (error.status !== CONFLICT || stalls === MOST_STALLS || assemblies > 1) throw error;
        received = await look(); // an answer was lost, or the server has lost a chunk
      }
      if (received <= before) stalls += 1;
      if (stalls > MOST_STALLS) throw new Refusal(CONFLICT);
    }
  }

  #chunk(address, item, from, signal) {
    const body = item.file.slice(from, from + this.#pace.bytes, "application/octet-stream");
    const options = { body, signal, check: () => readable(item.file), adapts: true };
    return this.#pace.run(body.size, () => this.#line.json(`${address}?offset=${from}`, options));
  }

  #assemble({ requestId, name }, signal) {
    const body = new FormData();
    body.set("request_id", requestId);
    body.set("assembled", "1");
    body.set("name", name);
    return this.#line.send(this.#batch.upload, { body, signal });
  }

  #note(item, sent) {
    item.sent = sent;
    this.#tell();
  }
}

function settle(item, error, signal) {
  const isRefused = error instanceof Refusal;
  if (error instanceof UnreadableError) {
    Object.assign(item, { state: "refused", problem: "unreadable" });
  } else if (isRefused && !isOurs(error.status)) {
    Object.assign(item, { state: "refused", message: error.message });
  } else if (!isRefused && signal.aborted) {
    item.state = "waiting";
  } else if (error instanceof SlowLineError) {
    Object.assign(item, { state: "waiting", tried: true });
  } else {
    // Other errors than a refusal are bugs, whose messages aren't for people.
    Object.assign(item, { state: "failed", message: isRefused ? error.message : "" });
  }
}

// Sending a file that was moved or changed meanwhile would look like a lost line.
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new UnreadableError();
  }
}

// Bytes a second over the last seconds.
class Rate {
  #marks = [];

  of(sent) {
    const now = performance.now() / 1000;
    this.#marks.push([now, sent]);
    while (this.#marks.length > 2 && this.#marks[0][0] < now - RATE_SECONDS) this.#marks.shift();
    const [[then, before]] = this.#marks;
    return now - then > 1 ? Math.max(0, sent - before) / (now - then) : 0;
  }
}
