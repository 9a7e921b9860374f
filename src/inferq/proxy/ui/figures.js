// The numbers of now, from the snapshots of the activity.

import { call } from "./api.js";
import { el, every, setText } from "./dom.js";
import { formatDuration, formatNumber, formatRate, t } from "./i18n.js";
import { allowProblem } from "./problems.js";
import { activity } from "./stream.js";

const QUEUE_SECONDS = 3;

/** How many jobs of a model wait. */
export function countWaiting(model) {
  return model.waiting.high + model.waiting.normal + model.waiting.low;
}

/** Rates over the last seconds, from totals. */
export class Rates {
  submitted = 0;
  ended = 0;
  #samples = [];

  add(snapshot) {
    const sum = (count) => snapshot.models.reduce((total, model) => total + count(model), 0);
    const sample = {
      at: Date.parse(snapshot.at) / 1000,
      submitted: sum((model) => model.submitted),
      ended: sum((model) => model.completed + model.failed),
    };
    this.#samples = [...this.#samples.slice(-5), sample];
    const first = this.#samples[0];
    const seconds = sample.at - first.at;
    if (seconds <= 0) return;
    this.submitted = Math.max(0, (sample.submitted - first.submitted) / seconds);
    this.ended = Math.max(0, (sample.ended - first.ended) / seconds);
  }
}

/** The strip of figures; `close` ends it. */
export class Figures {
  #rates = new Rates();
  #values = new Map();

  constructor() {
    const names = ["throughput", "waiting", "running", "retrying", "oldest", "failed", "workers"];
    this.element = el(
      "dl",
      { class: "figures panel" },
      names.map((name) => {
        const value = el("dd", {}, t("none"));
        this.#values.set(name, value);
        return el("div", { class: `figure ${name}` }, el("dt", {}, t(`figure.${name}`)), value);
      }),
    );
    const endings = [
      activity.on("snapshot", (snapshot) => this.#take(snapshot)),
      every(QUEUE_SECONDS, () => this.#readWait()),
    ];
    this.close = () => endings.forEach((end) => end());
    if (activity.snapshot) this.#take(activity.snapshot);
    this.#readWait();
  }

  #take(snapshot) {
    const sum = (count) => snapshot.models.reduce((total, model) => total + count(model), 0);
    this.#rates.add(snapshot);
    this.#show("throughput", formatRate(this.#rates.ended));
    this.#show("waiting", formatNumber(sum(countWaiting)));
    this.#show("running", formatNumber(sum((model) => model.running)));
    this.#show("retrying", formatNumber(sum((model) => model.retrying)));
    this.#show("failed", formatNumber(sum((model) => model.dead_letters)));
    this.#show("workers", formatNumber(snapshot.workers.length));
    this.#warn("failed", sum((model) => model.dead_letters) > 0);
    this.#warn("workers", snapshot.workers.length === 0);
  }

  async #readWait() {
    try {
      const { models } = await call("GET", "queue");
      const waits = Object.values(models).map((model) => model.oldest_wait_seconds ?? 0);
      const longest = Math.max(0, ...waits);
      this.#show("oldest", longest ? formatDuration(longest) : t("none"));
    } catch (error) {
      allowProblem(error); // the notice says it
      this.#show("oldest", t("none"));
    }
  }

  #show(name, text) {
    setText(this.#values.get(name), text);
  }

  #warn(name, isBad) {
    this.#values.get(name).parentElement.classList.toggle("bad", isBad);
  }
}
