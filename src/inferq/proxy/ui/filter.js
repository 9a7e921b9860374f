// What jobs are looked for: a form, and the query of the API that follows from it.

import { call } from "./api.js";
import { button, el, put } from "./dom.js";
import { t } from "./i18n.js";
import { allowProblem } from "./problems.js";

/** The members of a filter in the page's address. */
export const FIELDS = [
  "status",
  "model",
  "error_kind",
  "id_prefix",
  "error",
  "owner",
  "time",
  "since",
  "until",
];

const STATUSES = ["failed", "pending", "processing", "completed", ""];
const KINDS = [
  "model-error",
  "invalid-input",
  "invalid-model",
  "timed-out",
  "crashed",
  "cancelled",
  "expired",
  "result-too-large",
  "input-unavailable",
  "input-not-found",
  "input-denied",
  "input-too-large",
  "output-unavailable",
  "output-denied",
];
const TIMES = { "": 0, "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400 };
const PAUSE_MS = 400; // after a key is pressed

/**
 * Returns a filter as the API takes it.
 * @param {URLSearchParams} query of the page's address
 * @param {number} now of the server, milliseconds since 1970
 */
export function readFilter(query, now) {
  const filter = {};
  for (const name of FIELDS) if (query.get(name) && name !== "time") filter[name] = query.get(name);
  const seconds = TIMES[query.get("time") ?? ""];
  if (seconds) filter.since = new Date(now - seconds * 1000).toISOString();
  return filter;
}

/** The form. */
export class FilterForm {
  #query;
  #onChange;
  #timer = 0;
  #names = {};

  /**
   * @param {URLSearchParams} query
   * @param {function(URLSearchParams)} onChange gets what the reader asks for now
   */
  constructor(query, onChange) {
    this.#query = query;
    this.#onChange = onChange;
    const isCustom = query.get("time") === "custom";
    this.element = el(
      "form",
      {
        class: "panel filter",
        role: "search",
        "aria-label": t("jobs.filter"),
        on: { submit: (event) => this.#submit(event) },
      },
      this.#makeStatuses(),
      this.#makeSelect("model", t("jobs.model"), [["", t("jobs.model.all")]]),
      this.#makeSelect("error_kind", t("jobs.kind"), [
        ["", t("jobs.kind.all")],
        ...KINDS.map((kind) => [kind, kind]),
      ]),
      this.#makeText("id_prefix", t("jobs.prefix"), { class: "code", maxlength: "256" }),
      this.#makeText("error", t("jobs.error"), { class: "wide" }),
      this.#makeText("owner", t("jobs.owner"), { placeholder: t("jobs.owner.hint") }),
      this.#makeSelect(
        "time",
        t("jobs.time"),
        [...Object.keys(TIMES), "custom"].map((name) => [name, t(`jobs.time.${name || "any"}`)]),
      ),
      isCustom && this.#makeTime("since", t("jobs.since")),
      isCustom && this.#makeTime("until", t("jobs.until")),
    );
    this.#readModels();
  }

  /** Forgets what was typed last, if nothing has come of it yet: another view is shown, or another filter. */
  close() {
    clearTimeout(this.#timer);
  }

  /** Offers the models of jobs that were found, beside those that are announced. */
  suggest(jobs) {
    this.#addModels(jobs.map((job) => job.model).filter((name) => name !== null));
  }

  async #readModels() {
    try {
      const { models, unavailable } = await call("GET", "models");
      this.#addModels([...models, ...Object.keys(unavailable)]);
    } catch (error) {
      allowProblem(error); // the list of jobs says it
      this.#addModels([]);
    }
  }

  #addModels(names) {
    const select = this.#names.model;
    const wanted = this.#query.get("model") ?? "";
    const known = new Set([...select.options].map((option) => option.value));
    const added = [...new Set([...names, wanted])].filter((name) => !known.has(name));
    select.append(...added.map((name) => el("option", { value: name }, name)));
    select.value = wanted;
  }

  #makeStatuses() {
    const wanted = this.#query.get("status") ?? "";
    return el(
      "fieldset",
      { class: "statuses" },
      el("legend", {}, t("jobs.status")),
      STATUSES.map((status) =>
        el(
          "label",
          {},
          el("input", {
            type: "radio",
            id: `filter-status-${status}`,
            name: "status",
            value: status,
            checked: status === wanted,
            on: { change: () => this.#change("status", status) },
          }),
          el(
            "span",
            { class: status ? `status ${status}` : "" },
            status ? t(`status.${status}`) : t("jobs.all"),
          ),
        ),
      ),
      button(t("jobs.clear"), () => this.#onChange(new URLSearchParams({ status: "" })), { class: "quiet" }),
    );
  }

  #makeSelect(name, text, options) {
    const select = el(
      "select",
      { id: `filter-${name}`, on: { change: () => this.#change(name, select.value) } },
      options.map(([value, title]) => el("option", { value }, title)),
    );
    select.value = this.#query.get(name) ?? "";
    this.#names[name] = select;
    return wrap(name, text, select);
  }

  #makeText(name, text, { class: kind = "", ...properties } = {}) {
    const field = el("input", {
      id: `filter-${name}`,
      type: "search",
      value: this.#query.get(name) ?? "",
      spellcheck: "false",
      autocomplete: "off",
      class: kind,
      ...properties,
      on: {
        input: () => this.#changeLater(name, field.value.trim()),
        change: () => this.#change(name, field.value.trim()),
      },
    });
    return wrap(name, text, field, kind === "wide" ? "wide" : "");
  }

  #makeTime(name, text) {
    const before = this.#query.get(name);
    const field = el("input", {
      id: `filter-${name}`,
      type: "datetime-local",
      step: "1",
      value: before ? toLocal(before) : "",
      on: { change: () => this.#change(name, field.value ? new Date(field.value).toISOString() : "") },
    });
    return wrap(name, text, field);
  }

  #submit(event) {
    event.preventDefault();
  }

  #changeLater(name, value) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#change(name, value), PAUSE_MS);
  }

  #change(name, value) {
    clearTimeout(this.#timer);
    if ((this.#query.get(name) ?? "") === value) return;
    const query = new URLSearchParams(this.#query);
    query.set(name, value);
    if (name === "time" && value !== "custom") ["since", "until"].forEach((one) => query.delete(one));
    for (const [one, text] of [...query]) if (!text && one !== "status") query.delete(one);
    this.#onChange(query);
  }
}

function wrap(name, text, field, kind = "") {
  return el("div", { class: `field ${kind}` }, el("label", { for: `filter-${name}` }, text), field);
}

// a time as the browser's field shows it: the reader's own clock, without a zone
function toLocal(text) {
  const time = new Date(text);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
