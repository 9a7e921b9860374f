// The pattern's own picture: clients, proxy, queue, workers, and jobs on their way. Boxes and numbers are HTML; what
// moves is drawn on a canvas above them, at most MOST_MARKS marks, whatever the rate.

import { el, put, setText } from "./dom.js";
import { Rates, countWaiting } from "./figures.js";
import { formatNumber, formatRate, t } from "./i18n.js";
import { MarkStore, paintMark } from "./marks.js";
import { activity } from "./stream.js";
import { Ways } from "./ways.js";

const MOST_LANES = 6;
const MOST_ROWS = 6;
const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const darkness = matchMedia("(prefers-color-scheme: dark)");

/** The picture; `close` ends it. */
export class Picture {
  #lanes = new Map(); // model to its elements
  #rows = new Map(); // worker to its elements
  #marks = new MarkStore();
  #colors = {};
  #frame = 0;
  #ways = null;
  #rates = new Rates();
  #endings = [];

  constructor() {
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.submitted = el("span", { class: "rate" });
    this.running = el("span", { class: "rate" });
    this.ended = el("span", { class: "return-label" });
    this.laneList = el("ul", { class: "lanes" });
    this.rowList = el("ul", { class: "rows" });
    this.stage = el(
      "div",
      { class: "stage" },
      node("clients"),
      el("div", { class: "pipe first" }, this.submitted, el("span", {}, t("picture.submitted"))),
      node("proxy"),
      el("div", { class: "pipe second" }),
      node("queue", this.laneList),
      el("div", { class: "pipe third" }, this.running, el("span", {}, t("picture.running"))),
      node("workers", this.rowList),
      this.ended,
      this.canvas,
    );
    this.element = el(
      "section",
      { class: "picture panel", "aria-labelledby": "picture-title" },
      el("h2", { id: "picture-title", class: "hidden" }, t("picture.title")),
      el("div", { role: "group", "aria-label": t("picture.label") }, this.stage),
      makeLegend(),
    );
    const sizes = new ResizeObserver(() => this.#measure());
    sizes.observe(this.stage);
    const recolor = () => {
      this.#readColors();
      this.#draw();
    };
    darkness.addEventListener("change", recolor);
    this.#endings = [
      () => sizes.disconnect(),
      () => darkness.removeEventListener("change", recolor),
      activity.on("snapshot", (snapshot) => this.#take(snapshot)),
      activity.on("changes", (changes) => this.#move(changes.jobs)),
    ];
    if (activity.snapshot) this.#take(activity.snapshot);
  }

  close() {
    cancelAnimationFrame(this.#frame);
    for (const end of this.#endings) end();
  }

  /** Shows a job as the reader's own, from now on. */
  markOwn(job) {
    this.#marks.own.add(job.job_id);
    this.#move([job]);
  }

  #take(snapshot) {
    this.#rates.add(snapshot);
    setText(this.submitted, t("picture.rate", { rate: formatRate(this.#rates.submitted) }));
    setText(this.ended, t("picture.ended", { rate: formatRate(this.#rates.ended) }));
    const running = snapshot.models.reduce((sum, model) => sum + model.running, 0);
    setText(this.running, formatNumber(running));
    const busiest = [...snapshot.models].sort((one, other) => countWaiting(other) - countWaiting(one));
    const models = busiest.slice(0, MOST_LANES).sort((one, other) => (one.model < other.model ? -1 : 1));
    const changed = [
      keepItems(this.laneList, this.#lanes, models, (model) => model.model, makeLane),
      keepItems(
        this.rowList,
        this.#rows,
        snapshot.workers.slice(0, MOST_ROWS),
        (worker) => worker.id,
        makeRow,
      ),
    ];
    for (const model of models) {
      setText(this.#lanes.get(model.model).count, formatNumber(countWaiting(model)));
      this.#lanes
        .get(model.model)
        .item.classList.toggle("blocked", model.workers === 0 && countWaiting(model) > 0);
    }
    for (const worker of snapshot.workers.slice(0, MOST_ROWS)) {
      setText(this.#rows.get(worker.id).count, formatNumber(worker.jobs_done));
    }
    sayNone(this.laneList, models.length ? busiest.length - models.length : -1, "picture.models.none");
    sayNone(
      this.rowList,
      snapshot.workers.length ? snapshot.workers.length - this.#rows.size : -1,
      "picture.workers.none",
    );
    this.#marks.settle(snapshot);
    if (changed.includes(true)) this.#measure();
    this.#draw();
  }

  #move(jobs) {
    if (stillness.matches || document.hidden) return;
    for (const job of jobs) {
      if (this.#lanes.has(job.model)) this.#marks.see(job, this.#findWorkers(job.model));
    }
    this.#draw();
  }

  // which of them runs a job is not told; these may
  #findWorkers(model) {
    return [...this.#rows].filter(([, row]) => row.models.includes(model)).map(([name]) => name);
  }

  // where the boxes are now, and by that the ways between them
  #measure() {
    const { width, height } = this.stage.getBoundingClientRect();
    const scale = devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.context = this.canvas.getContext("2d");
    this.context.scale(scale, scale);
    this.#ways = new Ways(this.stage, this.#lanes, this.#rows, this.ended);
    this.#readColors();
    this.#draw();
  }

  #readColors() {
    const style = getComputedStyle(this.stage);
    for (const name of [
      "pending",
      "processing",
      "completed",
      "failed",
      "line-strong",
      "surface",
      "accent",
      "ink",
    ]) {
      this.#colors[name] = style.getPropertyValue(`--${name}`);
    }
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame((now) => this.#paint(now));
  }

  #paint(now) {
    if (!this.#ways) return;
    const { context } = this;
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.#ways.paint(context, this.#colors);
    const waiting = activity.snapshot?.models ?? [];
    for (const model of waiting) this.#paintLane(model);
    const isMoving = this.#marks.paint(context, this.#colors, this.#ways, now);
    if (isMoving) this.#draw();
  }

  // jobs that wait: as many marks as fit; those of jobs that the picture has seen are drawn with all others
  #paintLane(model) {
    const slots = this.#ways.slots(model.model);
    const seen = this.#marks.countParked("pending", model.model);
    const more = Math.min(countWaiting(model), slots.length) - Math.min(seen, slots.length);
    this.context.globalAlpha = 0.55;
    for (const [x, y] of slots.slice(seen, seen + Math.max(more, 0))) {
      paintMark(this.context, "pending", x, y, this.#colors);
    }
    this.context.globalAlpha = 1;
  }
}

function node(name, ...children) {
  return el(
    "div",
    { class: `node ${name}` },
    el("h3", {}, t(`picture.${name}`)),
    children.length ? children : el("p", { class: "note" }, t(`picture.${name}.note`)),
  );
}

function makeLane(model) {
  const count = el("span", { class: "number" });
  const track = el("span", { class: "track" });
  return { item: el("li", {}, el("span", { class: "name" }, model.model), count, track), track, count };
}

function makeRow(worker) {
  const count = el("span", { class: "number" });
  const track = el("span", { class: "track" });
  const name = el("span", { class: "name", title: `${worker.id} · ${worker.models.join(", ")}` }, worker.id);
  return { item: el("li", {}, name, count, track), track, count, models: worker.models };
}

// keeps a list's items in the order of `values`; returns whether any came or went
function keepItems(list, items, values, readKey, make) {
  const keys = values.map(readKey);
  if (keys.join("\n") === [...items.keys()].join("\n")) return false;
  const before = new Map(items);
  items.clear();
  for (const value of values) items.set(readKey(value), before.get(readKey(value)) ?? make(value));
  put(
    list,
    [...items.values()].map((one) => one.item),
  );
  return true;
}

function sayNone(list, left, key) {
  let note = list.parentElement.querySelector(".more");
  if (left === 0) return note?.remove();
  if (!note) list.after((note = el("p", { class: "note more" })));
  setText(note, left < 0 ? t(key) : t("picture.more", { n: left }));
}

function makeLegend() {
  const statuses = ["pending", "processing", "completed", "failed"];
  return el(
    "p",
    { class: "legend note" },
    statuses.map((status) => el("span", { class: `status ${status}` }, t(`status.${status}`))),
    el("span", { class: "status own" }, t("picture.mine")),
    el("span", {}, t(stillness.matches ? "picture.still" : "picture.sample")),
  );
}
