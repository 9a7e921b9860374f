// Retry, cancel and delete: of all jobs that a filter finds, counted first and confirmed; or of one job.

import { call, jobPath } from "./api.js";
import { button, el, put, setText } from "./dom.js";
import { formatNumber, t } from "./i18n.js";
import { sayProblem } from "./problems.js";

const isReadOnly = document.documentElement.dataset.mode === "read-only";
const WHOLE_ID = /^[0-9a-f]{32}(-[1-9][0-9]{0,2})?$/; // of inferq's own; another one may be how others begin
const ACTIONS = {
  "": ["retry", "cancel", "delete"],
  pending: ["cancel"],
  processing: ["cancel"],
  completed: ["delete"],
  failed: ["retry", "delete"],
};

/**
 * Makes the buttons for all jobs that a filter finds.
 * @param {function(): object} readFilter returns the filter, as the API takes it
 * @param {string} status that the filter asks for, or nothing
 * @param {function()} onDone is called when jobs have changed
 */
export function makeActions(readFilter, status, onDone) {
  if (isReadOnly) return null;
  const isEmpty = Object.keys(readFilter()).length === 0;
  return el(
    "div",
    { class: "buttons" },
    ACTIONS[status].map((action) =>
      button(t(`action.all.${action}`), () => new ActionDialog(action, readFilter(), onDone).run(), {
        disabled: isEmpty,
        title: isEmpty ? t("action.empty") : null,
        class: action === "delete" ? "danger" : null,
      }),
    ),
  );
}

/**
 * Makes the buttons for one job.
 * @param {object} job
 * @param {function(boolean)} onDone is told whether the job is gone
 */
export function makeJobActions(job, onDone) {
  if (isReadOnly) return null;
  const message = el("span", { class: "error", role: "alert" });
  const act =
    (action, isGone = false) =>
    async () => {
      try {
        await action();
        onDone(isGone);
      } catch (error) {
        setText(message, sayProblem(error));
      }
    };
  const path = jobPath(job.job_id);
  const hasEnded = ["completed", "failed"].includes(job.status);
  const retry = act(() => call("POST", `${path}/retry`));
  const cancel = act(() => call("DELETE", path));
  const remove = act(
    () =>
      call("POST", "jobs/actions", {
        body: { action: "delete", filter: { id_prefix: job.job_id }, dry_run: false },
      }),
    true,
  );
  const again = new URLSearchParams({ model: job.model ?? "", from: job.job_id });
  return el(
    "div",
    { class: "buttons" },
    job.status === "failed" && button(t("action.retry"), retry, { class: "main" }),
    !hasEnded && button(t("action.cancel"), () => confirmThen("cancel", cancel), { class: "danger" }),
    job.model &&
      job.status !== "completed" &&
      el("a", { class: "button", href: `#/?${again}` }, t("action.again")),
    hasEnded &&
      WHOLE_ID.test(job.job_id) &&
      button(t("action.delete"), () => confirmThen("delete", remove), { class: "danger" }),
    message,
  );
}

function confirmThen(action, work) {
  const title = t(`action.${action}`);
  const { dialog } = openDialog(
    title,
    el("p", {}, t(`action.sure.${action}`)),
    button(t("action.keep"), () => dialog.close()),
    button(
      title,
      () => {
        dialog.close();
        work();
      },
      { class: "danger" },
    ),
  );
}

function openDialog(title, body, ...buttons) {
  const row = el("div", { class: "buttons" }, ...buttons);
  const dialog = el(
    "dialog",
    { "aria-labelledby": "dialog-title" },
    el("h2", { id: "dialog-title" }, title),
    body,
    row,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, row };
}

/** Counts what a filter finds, asks, and does it in steps of the server's, which can be stopped between two. */
class ActionDialog {
  #isStopped = false;
  #hasChanged = false;

  constructor(action, filter, onDone) {
    this.action = action;
    this.filter = filter;
    this.text = el("p", { class: "large", role: "status" }, t("action.counting", { n: 0 }));
    const words = Object.entries(filter).map(([name, value]) => el("code", {}, `${name} = ${value}`));
    const body = el(
      "div",
      {},
      el("p", { class: "words" }, words),
      this.text,
      el("p", { class: "note" }, t(`action.what.${action}`)),
    );
    const { dialog, row } = openDialog(
      t(`action.title.${action}`),
      body,
      button(t("close"), () => dialog.close()),
    );
    this.row = row;
    this.dialog = dialog;
    dialog.addEventListener("close", () => {
      this.#isStopped = true;
      if (this.#hasChanged) onDone();
    });
  }

  async run() {
    try {
      const { matched } = await this.#go(true, ({ matched }) =>
        setText(this.text, t("action.counting", { n: matched })),
      );
      setText(this.text, t("action.counted", { n: matched }));
      const confirm = button(
        t(`action.confirm.${this.action}`, { n: matched }),
        () => this.#confirm(matched),
        {
          class: this.action === "delete" || this.action === "cancel" ? "danger" : "main",
          disabled: matched === 0,
        },
      );
      this.row.append(confirm);
      if (matched) confirm.focus();
    } catch (error) {
      setText(this.text, sayProblem(error));
    }
  }

  async #confirm(total) {
    put(
      this.row,
      button(t("action.stop"), () => this.dialog.close()),
    );
    this.#hasChanged = true;
    try {
      const sum = await this.#go(false, ({ changed }) =>
        setText(this.text, t("action.working", { n: changed, total })),
      );
      setText(this.text, t("action.done", { n: sum.changed, skipped: formatNumber(sum.skipped) }));
    } catch (error) {
      setText(this.text, sayProblem(error));
    }
    const done = button(t("close"), () => this.dialog.close(), { class: "main" });
    put(this.row, done);
    done.focus();
  }

  // the server does a bounded part of it at a time
  async #go(isDryRun, say) {
    const sum = { matched: 0, changed: 0, skipped: 0 };
    let cursor = null;
    do {
      const body = { action: this.action, filter: this.filter, dry_run: isDryRun, ...(cursor && { cursor }) };
      const part = await call("POST", "jobs/actions", { body });
      for (const name of Object.keys(sum)) sum[name] += part[name] ?? 0;
      cursor = part.cursor;
      say(sum);
    } while (cursor && !this.#isStopped);
    return sum;
  }
}
