// The public HTTP API, as every other client uses it.

const KEY = "inferq-key";
const UNREACHABLE = 0;

/** An answer that is an error: a problem document, or no answer at all (`status` 0). */
export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail ?? document?.title ?? "");
    this.status = status;
    this.document = document;
    this.title = document?.title ?? "";
    this.kind = (document?.type ?? "").split(":").at(-1);
  }

  get isUnreachable() {
    return this.status === UNREACHABLE;
  }
}

let askForKey = async () => false;
let asking = null;
let clockOffset = 0; // the server's clock against ours, milliseconds

/** Says what asks the user for a key: gets whether one was refused, resolves to false if none is given. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function readKey() {
  return sessionStorage.getItem(KEY);
}

/** Keeps a key for this session of the browser. */
export function keepKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

/** Returns the URL of a path of the API, below whatever prefix this page is served. */
export function locate(path, query = {}) {
  const url = new URL(path, document.baseURI);
  url.hash = "";
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/** The path of a job. */
export function jobPath(jobId, rest = "") {
  return `job/${encodeURIComponent(jobId)}${rest}`;
}

/**
 * Makes a request; asks for a key where one is needed, and tries again with it.
 * @returns {Promise<Response>} an answer that is no error
 * @throws {Problem}
 */
export async function send(method, path, { query, body, signal, headers: more } = {}) {
  for (;;) {
    const key = readKey();
    const headers = { ...more, ...(key && { Authorization: `Bearer ${key}` }) };
    // of a file the service looks at the first bytes, which know more than its name
    if (typeof body === "string") headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(locate(path, query), { method, headers, body, signal, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(UNREACHABLE);
    }
    if (answer.ok) return answer;
    const problem = new Problem(answer.status, await answer.json().catch(() => null));
    if (answer.status !== 401) throw problem;
    if (readKey() === key) {
      asking ??= askForKey(key !== null).finally(() => (asking = null));
      if (!(await asking)) throw problem;
    }
  }
}

/** Makes a request whose answer is JSON; `body` is a value. */
export async function call(method, path, { body, ...options } = {}) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return (await send(method, path, { ...options, body: text })).json();
}

/** Takes note of the server's time, RFC 3339. */
export function setServerTime(text) {
  clockOffset = Date.parse(text) - Date.now();
}

/** Returns the server's time, milliseconds since 1970. */
export function serverNow() {
  return Date.now() + clockOffset;
}
