// The line to the server. A request is repeated until there is a final answer: after a lost line for as long as
// it takes, after a failure of the server a few times, and after a sign-out once somebody has signed in again.
// Everything the pages send may safely be repeated, because each request names what it is about by an id.

const MOST_FAILURES = 5;
const LONGEST_WAIT_SECONDS = 30;
const SIGN_IN_LOOK_SECONDS = 4;
// The browser says that the line is back, or the person comes back to the tab.
const MAY_BE_BACK = ["online", "focus"];
const REQUEST_SECONDS = 120; // a chunk of 2 MiB takes so long at 17 kB/s
const LONG_SECONDS = 15; // a line that is lost sooner isn't lost because it is slow
const BEGUN_SECONDS = 1; // without a line a try fails at once, and the trouble that is shown shouldn't flicker
const [SIGNED_OUT, FORBIDDEN, TOO_MANY, SERVER_FAILED, DISK_FULL] = [401, 403, 429, 500, 507];

// The server's final no. message: its text for people, or "" if the answer was a page.
export class Refusal extends Error {
  constructor(status, text = "") {
    super(isPage(text) ? "" : text);
    this.status = status;
  }
}

// A request took long, and then the line was lost: by our own limit, or by the server's, which wants a minimum
// rate. The sender makes it smaller.
export class SlowLineError extends Error {}

export class Line {
  #token;
  #home;
  #tell;
  #signingIn = null;
  #troubles = new Map();

  // home: a page of the team's, which says if we are signed in and has a fresh token. tell: gets the present
  // trouble, { kind: "offline" | "busy" | "signedOut", until } or null.
  constructor(token, home, tell) {
    this.#token = token;
    this.#home = home;
    this.#tell = tell;
  }

  json(address, options) {
    return this.send(address, { ...options, parse: JSON.parse });
  }

  // Returns the answer's text, or what parse makes of it. check: run before each try; what it throws ends the
  // request. failures: of the server, one after the other, after which it gives up. seconds: that a try may take.
  // adapts: a request that the line is too slow for isn't repeated, but ends with a SlowLineError.
  async send(address, { method = "POST", json, body, signal, check, adapts, seconds, parse = plain, failures: most = MOST_FAILURES } = {}) {
    const id = Symbol(address);
    const request = { method, body: json === undefined ? body : JSON.stringify(json) };
    const type = json === undefined ? {} : { "Content-Type": "application/json" };
    let losses = 0;
    let failures = 0;
    let renewed = false;
    let isLong = false;
    try {
      for (;;) {
        await this.#signingIn;
        await check?.();
        isLong = false;
        const timers = [
          setTimeout(() => this.#report(id, null), BEGUN_SECONDS * 1000),
          setTimeout(() => { isLong = true; }, LONG_SECONDS * 1000),
        ];
        const answer = await this.#try(address, { ...request, headers: this.#headers(type) }, parse, signal, seconds);
        timers.forEach(clearTimeout);
        signal?.throwIfAborted();
        if (answer?.ok) return answer.content;
        if (answer?.status === SIGNED_OUT) {
          await this.#signIn();
        } else if (answer?.status === FORBIDDEN && !renewed) {
          // The token is invalid: somebody signed in again in another tab, or the cookies are gone.
          renewed = true;
          if (!(await this.#look())) await this.#signIn();
        } else if (answer) {
          failures += 1;
          if (!isPassing(answer) || failures >= most) throw new Refusal(answer.status, answer.content);
          await this.#wait(id, "busy", Math.max(answer.seconds, backOff(failures)), signal);
        } else if (adapts && isLong) {
          throw new SlowLineError();
        } else {
          losses += 1;
          failures = 0; // a server that restarts drops the line first, then is busy for a while
          await this.#wait(id, "offline", backOff(losses), signal);
        }
      }
    } finally {
      this.#report(id, null);
    }
  }

  #headers(more) {
    return { "HX-Request": "true", "X-CSRFToken": this.#token, ...more };
  }

  // Returns { ok, status, content, seconds to wait }, or null if the line was lost: before the answer, within it,
  // or to somebody on the way who answers instead of the server, such as a hotel's Wi-Fi with its sign-in page.
  async #try(address, request, parse, signal, seconds = REQUEST_SECONDS) {
    const timed = new AbortController();
    const stop = () => timed.abort();
    const timer = setTimeout(stop, seconds * 1000);
    signal?.addEventListener("abort", stop);
    try {
      signal?.throwIfAborted();
      const response = await fetch(address, { ...request, signal: timed.signal });
      const { ok, status, headers } = response;
      const text = await response.text();
      return { ok, status, content: ok ? parse(text) : text, seconds: Number(headers.get("Retry-After")) || 0 };
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  async #wait(id, kind, seconds, signal) {
    // A little by chance, so that the requests which failed together don't come back together.
    const milliseconds = Math.min(LONGEST_WAIT_SECONDS, seconds) * 1000 * (1 + Math.random() / 4);
    this.#report(id, { kind, until: Date.now() + milliseconds });
    // A server that is busy has said for how long, and its tries are counted.
    await sleep(milliseconds, kind === "offline" ? MAY_BE_BACK : [], signal);
  }

  // Several requests find out at once that we are signed out; one of them waits for the sign-in.
  #signIn() {
    this.#signingIn ??= this.#waitForSignIn().finally(() => { this.#signingIn = null; });
    return this.#signingIn;
  }

  async #waitForSignIn() {
    const id = Symbol("sign-in");
    this.#report(id, { kind: "signedOut" });
    try {
      while (!(await this.#look())) await sleep(SIGN_IN_LOOK_SECONDS * 1000, MAY_BE_BACK);
    } finally {
      this.#report(id, null);
    }
  }

  // Returns true if we are signed in, and takes the page's token.
  async #look() {
    const parse = (text) => new DOMParser().parseFromString(text, "text/html");
    const answer = await this.#try(this.#home, { headers: { "HX-Request": "true" } }, parse);
    if (!answer || answer.status === SIGNED_OUT || answer.status >= SERVER_FAILED) return false;
    if (!answer.ok) throw new Refusal(answer.status); // by somebody who isn't in the team
    const page = answer.content;
    const field = page.querySelector("input[name=csrfmiddlewaretoken]");
    if (field) this.#token = field.value;
    return Boolean(field);
  }

  #report(id, trouble) {
    if (!trouble && !this.#troubles.delete(id)) return;
    if (trouble) this.#troubles.set(id, trouble);
    this.#tell([...this.#troubles.values()].at(-1) ?? null);
  }
}

function isPassing({ status }) {
  return (status >= SERVER_FAILED || status === TOO_MANY) && status !== DISK_FULL;
}

function isPage(text) {
  return text.trimStart().startsWith("<");
}

function plain(text) {
  if (isPage(text)) throw new SyntaxError("a page instead of an answer");
  return text;
}

function backOff(tries) {
  return 2 ** (tries - 1);
}

// Ends early by any of the events.
function sleep(milliseconds, events, signal) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      for (const event of events) removeEventListener(event, wake);
      signal?.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    for (const event of events) addEventListener(event, wake);
    signal?.addEventListener("abort", wake);
  });
}
