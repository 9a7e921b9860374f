// One job: what happened to it when, its input, its result.

import { makeJobActions } from "./actions.js";
import { Problem, call, jobPath, send, serverNow } from "./api.js";
import { button, el, put, setText } from "./dom.js";
import {
  formatAgo,
  formatDuration,
  formatNumber,
  formatSize,
  formatTime,
  secondsBetween,
  t,
} from "./i18n.js";
import { sayProblem } from "./problems.js";
import { makeThumbnail, readFileName, saveAs } from "./files.js";
import { makeJson, makeResult } from "./result.js";
import { makeProgress } from "./progress.js";
import { follow } from "./stream.js";

const MOST_SHOWN_BYTES = 512 * 1024;

export function openJob(root, { rest: jobId }) {
  const page = new JobPage(jobId);
  root.append(...page.elements);
  return () => page.close();
}

class JobPage {
  #close = () => {};
  #isClosed = false;
  #document = null;
  #status = null;

  constructor(jobId) {
    this.jobId = jobId;
    this.head = el("div", { class: "job-head" });
    this.actions = el("div");
    this.facts = el("dl", { class: "facts" });
    this.timeline = el("ol", { class: "timeline" });
    this.result = el("div", {});
    this.input = el("div", {}, el("p", { class: "note" }, t("loading")));
    this.body = el(
      "div",
      { class: "columns" },
      panel("timeline", el("div", {}, this.facts, this.timeline)),
      el(
        "div",
        { class: "stack" },
        (this.resultPanel = panel("result", this.result)),
        panel("input", this.input),
      ),
    );
    this.elements = [
      el("p", {}, el("a", { href: "#/jobs" }, `← ${t("jobs.title")}`)),
      el(
        "div",
        { class: "bar" },
        el("h1", { class: "job-title" }, el("code", {}, jobId)),
        button(t("copy"), (event) => copy(jobId, event.target), { class: "quiet" }),
      ),
      this.head,
      this.actions,
      this.body,
    ];
    this.body.hidden = true;
    this.#read();
  }

  close() {
    this.#isClosed = true;
    this.#close();
  }

  async #read() {
    this.#close();
    this.#status = null;
    try {
      const job = await call("GET", jobPath(this.jobId));
      this.#document =
        job.model && (await call("GET", `models/${encodeURIComponent(job.model)}`).catch(() => null));
      if (this.#isClosed) return;
      this.#show(job);
      if (!["completed", "failed"].includes(job.status)) this.#follow();
      if (job.status === "completed") this.#sayInput(t("job.input.gone"));
      else this.#readInput();
    } catch (error) {
      const isGone = error instanceof Problem && error.status === 404;
      this.body.hidden = true;
      put(this.head, el("p", { class: "error", role: "alert" }, isGone ? t("job.gone") : sayProblem(error)));
      if (!isGone) this.head.append(button(t("problem.again"), () => this.#read()));
    }
  }

  #follow() {
    const show = (job) => this.#show(job);
    const end = (job) => {
      this.#close();
      show(job);
    };
    this.#close = follow(
      jobPath(this.jobId, "/events"),
      { status: show, progress: show, end },
      { probe: jobPath(this.jobId) },
    );
  }

  #show(job) {
    this.body.hidden = false;
    if (job.status !== this.#status) this.#showStatus(job);
    put(this.facts, makeFacts(job));
    put(this.timeline, makeTimeline(job));
  }

  // only where it changes: a button keeps the focus, and a screen reader is told once
  #showStatus(job) {
    this.#status = job.status;
    put(
      this.head,
      el("span", { class: `status ${job.status} large`, role: "status" }, t(`status.${job.status}`)),
      job.error && el("p", { class: "error-text" }, el("strong", {}, job.error_kind ?? ""), " ", job.error),
    );
    put(this.actions, makeJobActions(job, (isGone) => this.#goOn(isGone)));
    this.resultPanel.hidden = job.status !== "completed";
    put(this.result, job.status === "completed" && makeResult(job.result, this.#document));
  }

  #goOn(isGone) {
    if (this.#isClosed) return; // another view is shown
    if (isGone) location.hash = "#/jobs";
    else this.#read();
  }

  async #readInput() {
    try {
      const answer = await send("GET", jobPath(this.jobId, "/data"));
      const content = await answer.blob();
      put(
        this.input,
        await makeInput(content, answer.headers.get("content-type") ?? ""),
        button(t("job.download"), () => saveAs(content, readFileName(answer, `${this.jobId.slice(0, 32)}.data`)), {
          class: "quiet",
        }),
      );
    } catch (error) {
      const isGone = error instanceof Problem && error.status === 404;
      this.#sayInput(isGone ? t("job.input.gone") : sayProblem(error));
    }
  }

  #sayInput(text) {
    put(this.input, el("p", { class: "note" }, text));
  }
}

function panel(name, body) {
  return el(
    "section",
    { class: "panel", "aria-labelledby": `${name}-title` },
    el("h2", { id: `${name}-title` }, t(name === "result" ? "result.title" : `job.${name}`)),
    body,
  );
}

function makeFacts(job) {
  const firstStart = job.history?.[0]?.started_at ?? job.started_at;
  const facts = {
    model: job.model,
    version: job.model_version,
    priority: t(`priority.${job.priority}`),
    attempts: formatNumber(job.attempts),
    waited: formatDuration(secondsBetween(job.submitted_at, firstStart)),
    ran: formatDuration(secondsBetween(job.started_at, job.finished_at)),
    total: formatDuration(secondsBetween(job.submitted_at, job.finished_at)),
    request: job.request_id,
  };
  return Object.entries(facts)
    .filter(([name, value]) => value || name !== "request")
    .map(([name, value]) =>
      el("div", { class: name }, el("dt", {}, t(`job.${name}`)), el("dd", {}, value || t("none"))),
    );
}

/** The events of a job in order, each with the time since the one before. */
function makeTimeline(job) {
  const items = [moment("pending", t("job.submitted"), job.submitted_at, null)];
  let before = job.submitted_at;
  for (const attempt of job.history ?? []) {
    const ran = secondsBetween(attempt.started_at, attempt.finished_at);
    const status = attempt.error_kind ? "failed" : attempt.finished_at ? "completed" : "processing";
    items.push(
      moment(
        status,
        t("job.attempt", { n: attempt.attempt }),
        attempt.started_at,
        before,
        t("job.attempt.by", { worker: attempt.worker }),
        ran === null ? t("job.attempt.runs") : t("job.attempt.ran", { duration: formatDuration(ran) }),
        attempt.error && el("span", { class: "error-text" }, `${attempt.error_kind}: ${attempt.error}`),
      ),
    );
    before = attempt.finished_at ?? attempt.started_at;
  }
  if (job.status === "pending") {
    const position = job.queue_position ? t("ticket.position", { n: job.queue_position }) : null;
    items.push(
      moment(
        "pending",
        t(job.attempts ? "job.waits.retry" : "job.waits"),
        null,
        null,
        position,
        ...makeExpected(job),
      ),
    );
  }
  if (job.status === "processing")
    items.push(...makeExpected(job).map((text) => moment("pending", text, null, null)));
  if (job.progress) items.push(moment("pending", makeProgress(job), null, null));
  if (job.finished_at) items.push(moment(job.status, t(`status.${job.status}`), job.finished_at, before));
  if (job.webhook) items.push(makeWebhook(job));
  return items;
}

function makeExpected(job) {
  return [
    job.status === "pending" &&
      job.expected_start_at &&
      t("ticket.starts", { time: formatTime(job.expected_start_at) }),
    job.expected_end_at && t("ticket.ends", { time: formatTime(job.expected_end_at) }),
  ].filter(Boolean);
}

function makeWebhook({ webhook, finished_at }) {
  const status = { delivered: "completed", "given-up": "failed" }[webhook.status] ?? "pending";
  return moment(
    status,
    `${t("job.webhook")}: ${t(`job.webhook.${webhook.status}`)}`,
    webhook.last_attempt_at,
    finished_at,
    webhook.url,
    webhook.attempts ? t("job.webhook.tries", { n: webhook.attempts }) : null,
    webhook.error && el("span", { class: "error-text" }, webhook.error),
  );
}

function moment(status, title, at, before, ...notes) {
  const since = secondsBetween(before, at);
  return el(
    "li",
    { class: status },
    el("strong", { class: `status ${status}` }, title),
    at && el("time", { datetime: at, title: formatAgo(at, serverNow()) }, formatTime(at, { digits: 3 })),
    since > 0 && el("span", { class: "note since" }, `+${formatDuration(since)}`),
    notes.filter(Boolean).map((note) => el("div", { class: "note" }, note)),
  );
}

async function makeInput(content, type) {
  if (content.size > MOST_SHOWN_BYTES || !/json|text/.test(type)) {
    return [
      makeThumbnail(content, t("job.input")),
      el("p", { class: "note" }, t("job.binary", { size: formatSize(content.size), type })),
    ];
  }
  const text = await content.text();
  try {
    return makeJson(JSON.parse(text));
  } catch {
    return el("pre", { class: "code", tabindex: "0" }, text); // a program from outside may have stored anything
  }
}

async function copy(text, target) {
  await navigator.clipboard?.writeText(text);
  setText(target, t("copied"));
}
