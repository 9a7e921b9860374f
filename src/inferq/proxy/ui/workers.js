// Queues with their last hour, and the live workers.

import { call, serverNow } from "./api.js";
import { makeEndedChart, makeWaitingChart } from "./charts.js";
import { el, every, put, setText } from "./dom.js";
import { formatAgo, formatDuration, formatNumber, formatRate, t } from "./i18n.js";
import { sayProblem } from "./problems.js";

const QUEUE_SECONDS = 2;
const HISTORY_SECONDS = 20;
const MOST_CHARTS = 12;

export function openWorkers(root) {
  const view = new WorkersView();
  root.append(...view.elements);
  return () => view.close();
}

class WorkersView {
  #cards = new Map();

  constructor() {
    this.message = el("p", { class: "error", role: "alert" });
    this.models = el("div", { class: "cards" });
    this.workers = el("div", { class: "list" });
    this.elements = [
      el("h1", {}, t("workers.title")),
      this.message,
      el("h2", { class: "hidden" }, t("models.title")),
      this.models,
      el(
        "section",
        { class: "panel", "aria-labelledby": "workers-title" },
        el("h2", { id: "workers-title" }, t("workers.live")),
        this.workers,
      ),
    ];
    const endings = [
      every(QUEUE_SECONDS, () => this.#read()),
      every(HISTORY_SECONDS, () => this.#readHistory()),
    ];
    this.close = () => endings.forEach((end) => end());
    this.#read().then(() => this.#readHistory());
  }

  async #read() {
    try {
      const queue = await call("GET", "queue");
      setText(this.message, "");
      this.#showModels(queue.models);
      put(this.workers, makeWorkers(queue.workers));
    } catch (error) {
      setText(this.message, sayProblem(error));
    }
  }

  #showModels(models) {
    const names = Object.keys(models);
    if (!names.length) put(this.models, el("p", { class: "note panel" }, t("models.none")));
    for (const name of names) {
      if (!this.#cards.has(name)) this.#cards.set(name, new ModelCard(name));
      this.#cards.get(name).show(models[name]);
    }
    const cards = names.map((name) => this.#cards.get(name).element);
    if (
      cards.length &&
      (cards.length !== this.models.children.length ||
        cards.some((card) => card.parentElement !== this.models))
    )
      put(this.models, cards);
  }

  #readHistory() {
    return Promise.all([...this.#cards.values()].slice(0, MOST_CHARTS).map((card) => card.readHistory()));
  }
}

class ModelCard {
  #numbers = {};

  constructor(name) {
    this.name = name;
    const names = ["waiting", "running", "retrying", "oldest", "backlog", "throughput", "workers", "failed"];
    this.charts = el("div", { class: "charts" }, el("p", { class: "note" }, t("loading")));
    this.element = el(
      "section",
      { class: "panel card", "aria-label": name },
      el("h3", {}, name),
      el(
        "dl",
        { class: "facts" },
        names.map((one) => el("div", {}, el("dt", {}, t(`figure.${one}`)), (this.#numbers[one] = el("dd")))),
      ),
      this.charts,
      el(
        "p",
        {},
        el("a", { href: `#/jobs?${new URLSearchParams({ status: "", model: name })}` }, t("workers.jobs")),
      ),
    );
  }

  show(queue) {
    const { high, normal, low } = queue.waiting;
    const waiting = formatNumber(high + normal + low);
    const parts =
      high || low
        ? ` (${t("priority.high")} ${formatNumber(high)}, ${t("priority.low")} ${formatNumber(low)})`
        : "";
    const texts = {
      waiting: waiting + parts,
      running: formatNumber(queue.running),
      retrying: formatNumber(queue.retrying),
      oldest: queue.oldest_wait_seconds === null ? t("none") : formatDuration(queue.oldest_wait_seconds),
      backlog: formatDuration(queue.backlog_seconds),
      failed: formatNumber(queue.failed),
      throughput: formatRate(queue.jobs_per_second),
      workers: formatNumber(queue.workers),
    };
    for (const [name, text] of Object.entries(texts)) setText(this.#numbers[name], text);
    this.#numbers.workers.parentElement.classList.toggle("bad", queue.workers === 0);
    this.#numbers.failed.parentElement.classList.toggle("bad", queue.failed > 0);
  }

  async readHistory() {
    try {
      const { minutes } = await call("GET", `queue/${encodeURIComponent(this.name)}/history`);
      put(
        this.charts,
        minutes.length
          ? [makeEndedChart(minutes), makeWaitingChart(minutes)]
          : el("p", { class: "note" }, t("chart.none")),
      );
    } catch (error) {
      put(this.charts, el("p", { class: "note" }, sayProblem(error)));
    }
  }
}

function makeWorkers(workers) {
  if (!workers.length) return el("p", { class: "note" }, t("workers.none"));
  const columns = ["id", "host", "models", "done", "started", "seen"];
  const now = serverNow();
  return el(
    "table",
    { class: "workers" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        columns.map((name) => el("th", { scope: "col", class: `col-${name}` }, t(`workers.${name}`))),
      ),
    ),
    el(
      "tbody",
      {},
      workers.map((worker) =>
        el(
          "tr",
          {},
          el("td", { class: "col-id" }, el("code", {}, worker.id)),
          el("td", { class: "col-host" }, worker.host),
          el("td", { class: "col-models" }, worker.models.join(", ")),
          el("td", { class: "col-done" }, formatNumber(worker.jobs_done)),
          el("td", { class: "col-started" }, formatAgo(worker.started_at, now)),
          el("td", { class: "col-seen" }, formatAgo(worker.seen_at, now)),
        ),
      ),
    ),
  );
}
