// How far a large job is.

import { el } from "./dom.js";
import { t } from "./i18n.js";

/** A bar, and rows in words; nothing for a job that does not run in parts. */
export function makeProgress({ progress }) {
  if (!progress) return null;
  const { done, rows } = progress;
  const words = t("job.progress", { done: done.toLocaleString(), rows: rows.toLocaleString() });
  return el("p", { class: "note" }, el("progress", { max: rows, value: done, "aria-label": words }), " ", words);
}
