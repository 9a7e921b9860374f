// Event streams that come back by themselves. A browser cannot send a key with an EventSource: where there is one,
// each connection takes a ticket that can be used once.

import { Problem, call, locate, readKey, send, setServerTime } from "./api.js";

const FIRST_PAUSE_SECONDS = 0.5;
const LONGEST_PAUSE_SECONDS = 10;
const SILENCE_SECONDS = 8; // the activity is told once a second
const HIDDEN_SECONDS = 60;

/**
 * Follows a stream until it is closed.
 * @param {string} path
 * @param {Object<string, function(object)>} listeners by the event's name, each gets its parsed data
 * @param {{probe?: string, onOpen?: function(), onLost?: function(Problem, number)}} options the path that says why a
 *   stream failed (one that answers 404 ends the following); onLost gets that, and the seconds until the next try
 * @returns {function()} closes it
 */
export function follow(path, listeners, { probe = "models", onOpen = () => {}, onLost = () => {} } = {}) {
  let source = null;
  let timer = 0;
  let failures = 0;
  let isClosed = false;

  async function connect() {
    try {
      const query = readKey() ? { ticket: (await call("POST", "stream-tickets")).ticket } : {};
      if (isClosed) return;
      open(locate(path, query));
    } catch (error) {
      lose(error);
    }
  }

  function open(url) {
    source = new EventSource(url);
    source.addEventListener("open", () => {
      failures = 0;
      onOpen();
    });
    source.addEventListener("error", check);
    for (const [name, listener] of Object.entries(listeners)) {
      source.addEventListener(name, (event) => listener(JSON.parse(event.data)));
    }
  }

  // an EventSource does not tell why it failed; an ordinary request does, and asks for a key where one is needed
  async function check() {
    source?.close();
    source = null;
    const key = readKey();
    try {
      await send("GET", probe);
      if (readKey() === key) lose(new Problem(0));
      else connect();
    } catch (error) {
      lose(error);
    }
  }

  function lose(problem) {
    if (isClosed) return;
    const pause = Math.min(FIRST_PAUSE_SECONDS * 2 ** failures, LONGEST_PAUSE_SECONDS);
    failures += 1;
    onLost(problem, pause);
    clearTimeout(timer);
    if (problem.status !== 404) timer = setTimeout(connect, pause * 1000);
  }

  connect();
  return () => {
    isClosed = true;
    clearTimeout(timer);
    source?.close();
  };
}

/** What goes on in the whole service: one stream for all of this page, closed while nobody can see it. */
class Activity {
  snapshot = null;
  #listeners = new Map();
  #close = null;
  #silence = 0;
  #hidden = 0;

  /** Begins, for as long as the page is open. */
  start() {
    this.#open();
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.#hidden);
      if (!document.hidden && !this.#close) this.#open();
      if (document.hidden) this.#hidden = setTimeout(() => this.#stop(), HIDDEN_SECONDS * 1000);
    });
  }

  /** Connects anew, as after another key was given. */
  restart() {
    this.#stop();
    this.#open();
  }

  /**
   * Adds a listener.
   * @param {"snapshot"|"changes"|"open"|"lost"} name `lost` gets why (a Problem) and when the next try is (seconds)
   * @returns {function()} removes it
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  #tell(name, ...values) {
    for (const listener of this.#listeners.get(name) ?? []) listener(...values);
  }

  #open() {
    this.#close = follow(
      "activity",
      {
        snapshot: (snapshot) => {
          this.snapshot = snapshot;
          setServerTime(snapshot.at);
          this.#listen();
          this.#tell("open");
          this.#tell("snapshot", snapshot);
        },
        changes: (changes) => this.#tell("changes", changes),
      },
      { onOpen: () => this.#listen(), onLost: (...why) => this.#lose(...why) },
    );
  }

  #stop() {
    clearTimeout(this.#silence);
    this.#close?.();
    this.#close = null;
  }

  // a connection that carries nothing is one that is lost, though nothing says so
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#tell("lost", new Problem(0), 0);
      this.restart();
    }, SILENCE_SECONDS * 1000);
  }

  #lose(problem, pause) {
    clearTimeout(this.#silence);
    this.#tell("lost", problem, pause);
  }
}

export const activity = new Activity();
