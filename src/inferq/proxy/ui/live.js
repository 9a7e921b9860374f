// The view that opens first: the picture, the figures, a form that submits, its ticket, and why jobs fail.

import { el } from "./dom.js";
import { FailureGroups } from "./failures.js";
import { Figures } from "./figures.js";
import { PredictForm } from "./form.js";
import { t } from "./i18n.js";
import { Picture } from "./picture.js";
import { Ticket } from "./ticket.js";

const isReadOnly = document.documentElement.dataset.mode === "read-only";

export function openLive(root, { query }) {
  const picture = new Picture();
  const figures = new Figures();
  const failures = new FailureGroups({ most: 5, filter: () => ({}) });
  const parts = [picture, figures, failures];
  root.append(el("h1", { class: "hidden" }, t("nav.live")), figures.element, picture.element);
  if (!isReadOnly) {
    const ticket = new Ticket((job) => picture.markOwn(job));
    const form = new PredictForm(query, (jobIds, model) => ticket.show(jobIds, model));
    parts.push(ticket, form);
    root.append(el("div", { class: "columns" }, form.element, ticket.element));
  }
  root.append(
    el(
      "section",
      { class: "panel", "aria-labelledby": "failures-title" },
      el("h2", { id: "failures-title" }, t("failures.title")),
      failures.element,
    ),
  );
  return () => parts.forEach((part) => part.close());
}
