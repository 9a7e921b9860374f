// A result: bars for probabilities, a table for tensors, and the JSON as it is.

import { send } from "./api.js";
import { button, el, setText } from "./dom.js";
import { readFileName, saveAs } from "./files.js";
import { formatNumber, formatSize, formatValue, t } from "./i18n.js";
import { sayProblem } from "./problems.js";
import { measureShape, writeJson } from "./tensors.js";

const MOST_BARS = 10;
const MOST_ROWS = 20;
const MOST_COLUMNS = 12;
const MOST_TEXT = 20_000;
const DOWNLOADS = [
  ["application/x-npz", ".npz"],
  ["application/json", ".json"],
];

/**
 * Shows a result.
 * @param {any} result of a completed job
 * @param {object|null} document of its model, if there is one
 */
export function makeResult(result, document) {
  const parts = isClassification(result) ? [makeClasses(result, document)] : makeTensors(result);
  return el(
    "div",
    { class: "result" },
    parts,
    el("details", {}, el("summary", {}, t("result.raw")), makeJson(result)),
  );
}

/** Shows a value as JSON, its beginning if it is long. */
export function makeJson(value) {
  const text = writeJson(value);
  return el(
    "div",
    {},
    el("pre", { class: "code", tabindex: "0" }, text.slice(0, MOST_TEXT)),
    text.length > MOST_TEXT &&
      el(
        "p",
        { class: "note" },
        t("result.long", { size: formatSize(text.length), shown: formatSize(MOST_TEXT) }),
      ),
  );
}

function isClassification(result) {
  if (!Array.isArray(result?.probabilities) || !("prediction" in result)) return false;
  // a program from outside may have stored anything
  const rows = result.probabilities.filter(Array.isArray).length;
  return rows === 0 || (rows === result.probabilities.length && Array.isArray(result.prediction));
}

function makeClasses(result, document) {
  if (!Array.isArray(result.probabilities[0]))
    return makeBars(result.class_name ?? result.prediction, result.probabilities, document);
  const rows = result.probabilities.slice(0, MOST_BARS);
  return el(
    "div",
    { class: "class-rows" },
    rows.map((probabilities, index) =>
      el(
        "section",
        {},
        el("h4", {}, `${t("result.row")} ${formatNumber(index + 1)}`),
        makeBars(result.class_name?.[index] ?? result.prediction[index], probabilities, document),
      ),
    ),
    sayFirst(rows.length, result.probabilities.length),
  );
}

function makeBars(winner, probabilities, document) {
  const names = Array.isArray(document?.class_labels) ? document.class_labels : document?.class_names;
  const bars = probabilities
    .map((value, index) => ({ value: Number(value) || 0, name: String(names?.[index] ?? index) }))
    .sort((one, other) => other.value - one.value);
  return el(
    "div",
    { class: "bars" },
    el("p", { class: "winner" }, String(winner)),
    el(
      "ul",
      {},
      bars
        .slice(0, MOST_BARS)
        .map(({ value, name }) =>
          el(
            "li",
            {},
            el("span", { class: "name" }, name),
            el("meter", { min: "0", max: "1", value: String(value), "aria-label": name }),
            el("span", { class: "number" }, formatShare(value)),
          ),
        ),
    ),
    sayFirst(Math.min(bars.length, MOST_BARS), bars.length),
  );
}

function formatShare(value) {
  return `${formatNumber(value * 100, 1)} %`;
}

function makeTensors(result) {
  const outputs = result?.outputs && typeof result.outputs === "object" ? result.outputs : null;
  if (!outputs) return [];
  if (typeof result.href === "string") {
    return [...Object.entries(outputs).map(makeSummary), makeDownloads(result.href)];
  }
  return Object.entries(outputs).map(([name, value]) => makeTensor(name, value));
}

/** What the service says of an output that is too long to be shown. */
function makeSummary([name, output]) {
  const shape = Array.isArray(output?.shape) ? `[${output.shape.join(", ")}]` : "";
  const size = Number.isFinite(output?.bytes) ? formatSize(output.bytes) : "";
  const form = el("code", {}, `${output?.datatype ?? ""} ${shape}`);
  return el("p", {}, el("strong", {}, name), " ", form, " ", size);
}

/** Buttons, not links: a browser sends no key with these. */
function makeDownloads(href) {
  const message = el("p", { class: "error", role: "alert" });
  const save = async (type, suffix) => {
    setText(message, "");
    try {
      const answer = await send("GET", href.replace(/^\/+/, ""), { headers: { Accept: type } });
      saveAs(await answer.blob(), readFileName(answer, `result${suffix}`));
    } catch (error) {
      setText(message, sayProblem(error));
    }
  };
  return el(
    "div",
    { class: "downloads" },
    el("p", { class: "note" }, t("result.large")),
    el(
      "div",
      { class: "buttons" },
      DOWNLOADS.map(([type, suffix]) =>
        button(t("result.download", { form: suffix }), () => save(type, suffix), { class: "quiet" }),
      ),
    ),
    message,
  );
}

function makeTensor(name, value) {
  const shape = measureShape(value);
  let rows = value;
  for (let axes = shape.length; axes > 2; axes -= 1) rows = rows[0] ?? [];
  if (shape.length < 2) rows = Array.isArray(rows) ? rows.map((one) => [one]) : [[rows]];
  const width = Math.min(
    Math.max(0, ...rows.slice(0, MOST_ROWS).map((row) => (Array.isArray(row) ? row.length : 1))),
    MOST_COLUMNS,
  );
  const shown = rows.slice(0, MOST_ROWS);
  const isWhole = shape.length <= 2 && rows.length <= MOST_ROWS && (shape[1] ?? 0) <= MOST_COLUMNS;
  return el(
    "figure",
    { class: "tensor" },
    el("figcaption", {}, el("strong", {}, name), " ", el("code", {}, `[${shape.join(", ")}]`)),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": name },
      el(
        "table",
        { class: "plain" },
        el(
          "tbody",
          {},
          shown.map((row) =>
            el(
              "tr",
              {},
              (Array.isArray(row) ? row : [row]).slice(0, width).map((one) => el("td", {}, writeValue(one))),
            ),
          ),
        ),
      ),
    ),
    !isWhole &&
      el(
        "p",
        { class: "note" },
        t("result.slice", { shape: `[${shape.join(", ")}]`, axes: `${shown.length} × ${width}` }),
      ),
  );
}

function writeValue(value) {
  if (typeof value === "number") return formatValue(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function sayFirst(shown, total) {
  return shown < total && el("p", { class: "note" }, t("result.first", { n: shown, total }));
}
