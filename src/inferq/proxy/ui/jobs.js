// All jobs by a filter, page by page from the server; those that failed first, grouped by their error.

import { send, serverNow } from "./api.js";
import { makeActions } from "./actions.js";
import { button, el, every, put, setText } from "./dom.js";
import { FailureGroups } from "./failures.js";
import { FIELDS, FilterForm, readFilter } from "./filter.js";
import { formatAgo, formatDuration, formatNumber, formatTime, secondsBetween, t } from "./i18n.js";
import { sayProblem } from "./problems.js";

const PAGE = 50;
const SECONDS = 5;
const LONGEST_TEXT = 160;
const MOST_REPEATED_BYTES = 256 * 1024; // of a page with long results, which is not read again by itself

export function openJobList(root, { query }) {
  const list = new JobList(query);
  root.append(...list.elements);
  return () => list.close();
}

class JobList {
  #cursors = [null]; // of the pages up to the one that is shown
  #next = null;
  #query;
  #endings = [];
  #reading = null;
  #isLong = false;

  constructor(query) {
    this.#query = query.size ? query : new URLSearchParams({ status: "failed" });
    const form = new FilterForm(this.#query, (changed) => this.#change(changed));
    const groups = new FailureGroups({ most: 8, filter: () => this.#filter() });
    this.form = form;
    const wantsGroups = ["", "failed"].includes(this.#query.get("status") ?? "");
    this.table = el("div", { class: "list" }, el("p", { class: "note" }, t("loading")));
    this.message = el("p", { class: "error", role: "alert" });
    this.page = el("span", { class: "note" });
    this.newer = button(t("jobs.newer"), () => this.#turn(-1), { class: "quiet" });
    this.older = button(t("jobs.older"), () => this.#turn(1), { class: "quiet" });
    this.elements = [
      el("h1", {}, t("jobs.title")),
      form.element,
      el(
        "section",
        { class: "panel", "aria-labelledby": "groups-title", hidden: !wantsGroups },
        el("h2", { id: "groups-title" }, t("failures.groups")),
        groups.element,
      ),
      el(
        "section",
        { class: "panel", "aria-labelledby": "list-title" },
        el(
          "div",
          { class: "bar" },
          el("h2", { id: "list-title" }, t("jobs.list")),
          makeActions(
            () => this.#filter(),
            this.#query.get("status") ?? "",
            () => this.read(),
          ),
          button(t("refresh"), () => this.read(), { class: "quiet" }),
        ),
        this.message,
        this.table,
        el("nav", { class: "pages", "aria-labelledby": "list-title" }, this.newer, this.page, this.older),
      ),
    ];
    this.#endings = [
      () => form.close(),
      () => groups.close(),
      every(SECONDS, () => this.#isQuiet() && this.read()),
    ];
    this.read();
  }

  close() {
    this.#reading?.abort();
    for (const end of this.#endings) end();
  }

  #filter() {
    return readFilter(this.#query, serverNow());
  }

  #change(query) {
    location.hash = `#/jobs?${query}`;
  }

  // the first page is read again by itself, but not under the reader's hand
  #isQuiet() {
    return (
      this.#cursors.length === 1 &&
      !this.#isLong &&
      !this.table.matches(":hover, :focus-within") &&
      !document.querySelector("dialog[open]")
    );
  }

  #turn(step) {
    if (step > 0) this.#cursors.push(this.#next);
    else this.#cursors.pop();
    this.read();
  }

  async read() {
    this.#reading?.abort();
    const reading = (this.#reading = new AbortController());
    try {
      this.#show(await this.#readPage(reading.signal));
      setText(this.message, "");
    } catch (error) {
      if (error.name !== "AbortError") setText(this.message, sayProblem(error));
    }
  }

  // the server reads a bounded number of jobs for a page: where none of them matches, the search goes on
  async #readPage(signal) {
    for (;;) {
      const query = { ...this.#filter(), limit: PAGE, cursor: this.#cursors.at(-1) };
      const answer = await send("GET", "jobs", { query, signal });
      this.#isLong = Number(answer.headers.get("content-length") ?? Infinity) > MOST_REPEATED_BYTES;
      const page = await answer.json();
      if (page.jobs.length || page.next === null) return page;
      this.#cursors[this.#cursors.length - 1] = page.next;
      put(this.table, el("p", { class: "note", role: "status" }, t("jobs.searching")));
    }
  }

  #show({ jobs, next }) {
    this.#next = next;
    this.newer.disabled = this.#cursors.length === 1;
    this.older.disabled = next === null;
    setText(this.page, t("jobs.page", { n: this.#cursors.length }));
    this.form.suggest(jobs);
    put(this.table, jobs.length ? makeTable(jobs) : this.#sayNone());
  }

  #sayNone() {
    const isPlain = FIELDS.every((name) => name === "status" || !this.#query.get(name));
    if (this.#query.get("status") !== "failed" || !isPlain) return el("p", { class: "note" }, t("jobs.none"));
    return el(
      "p",
      { class: "note" },
      t("jobs.none.failed"),
      " ",
      el("a", { href: "#/jobs?status=" }, t("jobs.none.show")),
    );
  }
}

function makeTable(jobs) {
  const columns = ["status", "id", "model", "submitted", "waited", "ran", "attempts", "reason"];
  // the roles say that it is a table on a phone, too, where rows are laid out as cards
  return el(
    "table",
    { class: "jobs", role: "table" },
    el(
      "thead",
      { role: "rowgroup" },
      el(
        "tr",
        { role: "row" },
        columns.map((name) =>
          el("th", { scope: "col", role: "columnheader", class: `col-${name}` }, t(`jobs.column.${name}`)),
        ),
      ),
    ),
    el("tbody", { role: "rowgroup" }, jobs.map(makeRow)),
  );
}

function makeRow(job) {
  const cell = (name, ...children) => el("td", { role: "cell", class: `col-${name}` }, ...children);
  return el(
    "tr",
    { role: "row" },
    cell("status", el("span", { class: `status ${job.status}` }, t(`status.${job.status}`))),
    cell(
      "id",
      el(
        "a",
        { href: `#/job/${encodeURIComponent(job.job_id)}`, title: job.job_id },
        el("code", {}, job.job_id.slice(0, 8)),
      ),
    ),
    cell("model", job.model ?? t("none")),
    cell(
      "submitted",
      el(
        "time",
        { datetime: job.submitted_at, title: formatTime(job.submitted_at, { digits: 3 }) },
        formatAgo(job.submitted_at, serverNow()),
      ),
    ),
    cell(
      "waited",
      formatDuration(secondsBetween(job.submitted_at, job.history?.[0]?.started_at ?? job.started_at)),
    ),
    cell(
      "ran",
      formatDuration(job.status === "processing" ? null : secondsBetween(job.started_at, job.finished_at)),
    ),
    cell("attempts", formatNumber(job.attempts)),
    cell("reason", makeReason(job)),
  );
}

function makeReason(job) {
  if (job.status === "failed") return [el("strong", {}, job.error_kind ?? ""), " ", shorten(job.error ?? "")];
  if (job.status === "pending")
    return job.queue_position ? t("ticket.position", { n: job.queue_position }) : "";
  const result = job.result;
  if (result === null) return "";
  return el(
    "code",
    {},
    shorten(typeof result?.class_name === "string" ? result.class_name : JSON.stringify(result)),
  );
}

function shorten(text) {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}
