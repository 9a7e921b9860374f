// What is wrong with the service, as it says itself.

import { call } from "./api.js";
import { el, every, setText } from "./dom.js";
import { t } from "./i18n.js";

const SECONDS = 5;
const NAMES = {
  redis: "health.redis",
  worker: "health.worker",
  queue: "health.queue",
  blobs: "health.blobs",
};

/** Shows in an element what is wrong, a line for each component; a screen reader is told of new lines alone. */
export class HealthLines {
  #components = {};
  #lines = new Map();
  #isReading = false;

  constructor(element) {
    this.element = element;
    every(SECONDS, () => this.#read());
    this.#read();
  }

  async #read() {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      this.#components = (await call("GET", "health")).components;
    } catch (error) {
      // one that takes no jobs answers too; of one that does not answer, the notice says so
      this.#components = error.document?.components ?? {};
    } finally {
      this.#isReading = false;
    }
    this.show();
  }

  /** Shows them again, in the language of the page; what the service says is in English. */
  show() {
    const faults = Object.entries(this.#components).filter(([, state]) => state !== "ok");
    this.element.hidden = !faults.length;
    for (const [name, line] of this.#lines) {
      if (faults.some(([one]) => one === name)) continue;
      line.element.remove();
      this.#lines.delete(name);
    }
    for (const [name, fault] of faults) {
      if (!this.#lines.has(name)) this.#lines.set(name, this.#addLine());
      const { label, text } = this.#lines.get(name);
      setText(label, t("health.component", { name: NAMES[name] ? t(NAMES[name]) : name }));
      setText(text, fault);
    }
  }

  #addLine() {
    const [label, text] = [el("span"), el("span", { lang: "en" })];
    const element = el("p", {}, label, text);
    this.element.append(element);
    return { element, label, text };
  }
}
