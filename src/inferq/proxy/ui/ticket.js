// The reader's own job: its ticket, how far it is, when it is expected to end, and its result.

import { call, jobPath, serverNow } from "./api.js";
import { el, put, setText } from "./dom.js";
import { formatDuration, formatTime, secondsBetween, t } from "./i18n.js";
import { makeResult } from "./result.js";
import { makeProgress } from "./progress.js";
import { follow } from "./stream.js";

const STEPS = ["pending", "processing", "completed"];

/** The ticket of the job submitted last. */
export class Ticket {
  #onJob;
  #close = () => {};
  #timer = 0;
  #job = null;

  /** @param {function(object)} onJob is told of every state of the job */
  constructor(onJob) {
    this.#onJob = onJob;
    this.body = el("div", {}, el("p", { class: "note" }, t("ticket.none")));
    this.said = el("p", { class: "hidden", role: "status" });
    this.element = el(
      "section",
      { class: "panel ticket", "aria-labelledby": "ticket-title" },
      el("h2", { id: "ticket-title" }, t("ticket.title")),
      this.body,
      this.said,
    );
  }

  close() {
    this.#close();
    clearInterval(this.#timer);
  }

  /** Follows the last of some jobs that were just submitted. */
  show(jobIds, document) {
    this.close();
    const jobId = jobIds.at(-1);
    this.#onJob({ job_id: jobId, model: document.name, status: "pending" });
    const steps = makeSteps();
    this.times = el("p", { class: "note times" });
    this.progress = el("div");
    this.outcome = el("div", { class: "outcome" });
    put(
      this.body,
      jobIds.length > 1 && el("p", { class: "note" }, t("ticket.many", { n: jobIds.length })),
      el("p", { class: "ticket-id" }, el("code", {}, jobId)),
      steps.element,
      this.times,
      this.progress,
      this.outcome,
      el("p", { class: "onward" }, el("a", { href: `#/job/${jobId}` }, t("ticket.details"))),
    );
    const take = (job) => this.#take(job, steps, document);
    this.#close = follow(
      jobPath(jobId, "/events"),
      {
        status: take,
        progress: take,
        end: (job) => {
          this.close();
          take(job);
        },
      },
      {
        probe: jobPath(jobId),
        onLost: (problem) => problem.status === 404 && setText(this.times, t("ticket.gone")),
      },
    );
    this.#timer = setInterval(() => this.#showTimes(), 250);
  }

  #take(job, steps, document) {
    this.#job = job;
    this.#onJob(job);
    steps.show(job);
    this.#showTimes();
    put(this.progress, makeProgress(job));
    setText(this.said, t("ticket.said", { id: job.job_id.slice(0, 8), status: t(`status.${job.status}`) }));
    if (job.status === "completed") put(this.outcome, makeResult(job.result, document));
    if (job.status === "failed") {
      put(
        this.outcome,
        el("p", { class: "error-text" }, job.error),
        el("p", { class: "status failed" }, job.error_kind ?? ""),
      );
    }
  }

  #showTimes() {
    const job = this.#job;
    if (!job) return;
    const total = secondsBetween(job.submitted_at, job.finished_at);
    if (job.status === "completed")
      return setText(this.times, t("ticket.total", { duration: formatDuration(total) }));
    if (job.status === "failed")
      return setText(this.times, t("ticket.failed", { duration: formatDuration(total) }));
    const parts = [];
    if (job.queue_position) parts.push(t("ticket.position", { n: job.queue_position }));
    if (job.status === "pending" && job.expected_start_at)
      parts.push(
        `${t("ticket.starts", { time: formatTime(job.expected_start_at) })} (${sayLeft(job.expected_start_at)})`,
      );
    if (job.expected_end_at)
      parts.push(
        `${t("ticket.ends", { time: formatTime(job.expected_end_at) })} (${sayLeft(job.expected_end_at)})`,
      );
    setText(this.times, parts.join(" · "));
  }
}

function sayLeft(text) {
  const seconds = (Date.parse(text) - serverNow()) / 1000;
  return seconds < 0.5 ? t("ticket.soon") : t("ticket.in", { duration: formatDuration(Math.ceil(seconds)) });
}

function makeSteps() {
  const items = STEPS.map((status) => {
    const name = el("span", { class: `status ${status}` }, t(`status.${status}`));
    const time = el("span", { class: "note" });
    return { item: el("li", {}, name, time), name, time };
  });
  function show(job) {
    const reached = job.status === "failed" ? 2 : STEPS.indexOf(job.status);
    const times = [job.submitted_at, job.started_at, job.finished_at];
    items.forEach(({ item, name, time }, index) => {
      item.className = index < reached ? "past" : index === reached ? "present" : "";
      item.toggleAttribute("aria-current", index === reached);
      setText(time, index <= reached && times[index] ? formatTime(times[index], { digits: 3 }) : "");
      if (index === 2 && job.status === "failed") {
        name.className = "status failed";
        setText(name, t("status.failed"));
      }
    });
  }
  return {
    element: el(
      "ol",
      { class: "steps" },
      items.map((one) => one.item),
    ),
    show,
  };
}
