// Failed jobs, grouped by their error: what is wrong, most often first.

import { call, serverNow } from "./api.js";
import { el, every, put } from "./dom.js";
import { formatAgo, formatNumber, t } from "./i18n.js";
import { allowProblem } from "./problems.js";
import { activity } from "./stream.js";

const SECONDS = 5;

/** The groups; `close` ends their reading. */
export class FailureGroups {
  #most;
  #filter;
  #isReading = false;
  #isStale = false;

  /**
   * @param {{most: number, filter: function(): object}} options how many groups are shown; the filter of the API
   */
  constructor({ most, filter }) {
    this.#most = most;
    this.#filter = filter;
    this.element = el("div", { class: "failures" }, el("p", { class: "note" }, t("loading")));
    const endings = [
      every(SECONDS, () => this.read()),
      activity.on("open", () => this.#isStale && this.read()),
    ];
    this.close = () => endings.forEach((end) => end());
    this.read();
  }

  async read() {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      this.#show(await call("GET", "jobs/errors", { query: this.#filter() }));
      this.#isStale = false;
    } catch (error) {
      allowProblem(error); // the notice says it, and what was read before stays
      this.#isStale = true;
    } finally {
      this.#isReading = false;
    }
  }

  #show({ groups, is_complete }) {
    if (this.element.contains(document.activeElement)) return; // not under the reader's hand
    if (!groups.length) {
      put(this.element, el("p", { class: "note" }, t("failures.none")));
      return;
    }
    const items = groups.slice(0, this.#most).map(makeGroup);
    put(
      this.element,
      el("ul", { class: "groups" }, items),
      !is_complete && el("p", { class: "note" }, t("failures.incomplete")),
      groups.length > this.#most &&
        el("p", { class: "onward" }, el("a", { href: "#/jobs?status=failed" }, t("failures.all"))),
    );
  }
}

function makeGroup(group) {
  const query = new URLSearchParams({ status: "failed" });
  for (const name of ["model", "error_kind"]) if (group[name]) query.set(name, group[name]);
  const text = findLongestPart(group.error);
  if (text) query.set("error", text);
  return el(
    "li",
    {},
    el("span", { class: "count", title: t("failures.count", { n: group.count }) }, formatNumber(group.count)),
    el(
      "div",
      {},
      el("p", { class: "error-text" }, group.error || t("none")),
      el(
        "p",
        { class: "note" },
        el("span", { class: "status failed" }, group.error_kind || t("none")),
        el("span", {}, group.model ?? t("none")),
        el("span", {}, t("failures.latest", { time: formatAgo(group.latest_at, serverNow()) })),
        el("a", { href: `#/jobs?${query}` }, t("failures.show")),
        el("a", { href: `#/job/${encodeURIComponent(group.example_job_id)}` }, t("failures.example")),
      ),
    ),
  );
}

// in the error of a group, … stands for ids and numbers that differ
function findLongestPart(error) {
  const parts = error.split("…").map((part) => part.trim());
  return parts.reduce((longest, part) => (part.length > longest.length ? part : longest), "");
}
