// How many requests are on their way at once, and how large they are: less of both over a slow line.

import { SlowLineError } from "./line.js";

const FULL = { atOnce: 4, bytes: 2 * 1024 * 1024 };
const LEAST_BYTES = 64 * 1024; // the server keeps at most 1000 chunks of a file
const SMALL_SECONDS = 1;
const QUICK_SECONDS = 5; // twice as much in twice as many takes four times as long, which isn't too long yet

export class Pace {
  #now = FULL;

  get atOnce() {
    return this.#now.atOnce;
  }

  get bytes() {
    return this.#now.bytes;
  }

  get isSlow() {
    return this.#now !== FULL;
  }

  // Sends so many bytes, and learns from it. Of the requests that began at one pace, the first to end changes it.
  async run(bytes, send) {
    const pace = this.#now;
    const began = performance.now();
    let next = pace;
    try {
      const answer = await send();
      const seconds = (performance.now() - began) / 1000;
      // A small file says little of the line: most of its time is the server's.
      if (bytes < pace.bytes ? seconds < SMALL_SECONDS : seconds < QUICK_SECONDS) next = faster(pace);
      return answer;
    } catch (error) {
      if (error instanceof SlowLineError) next = slower(pace);
      throw error;
    } finally {
      if (this.#now === pace) this.#now = next;
    }
  }
}

function slower({ bytes }) {
  return { atOnce: 1, bytes: Math.max(LEAST_BYTES, bytes / 4) };
}

function faster({ atOnce, bytes }) {
  const pace = { atOnce: Math.min(FULL.atOnce, atOnce * 2), bytes: Math.min(FULL.bytes, bytes * 2) };
  return pace.atOnce === FULL.atOnce && pace.bytes === FULL.bytes ? FULL : pace;
}
