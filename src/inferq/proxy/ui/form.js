// A form made from the chosen model's signature, with its example filled in.

import { Problem, call, jobPath, send } from "./api.js";
import { button, el, put, setText } from "./dom.js";
import { FileChoice, readFileName } from "./files.js";
import { formatNumber, t } from "./i18n.js";
import { sayProblem } from "./problems.js";
import { submitData, submitFile } from "./submission.js";
import { countValues, makeExample, readCells, readShape, writeJson } from "./tensors.js";

const MOST_CELLS = 32; // in a row of fields; beyond that, data is JSON
const MOST_TYPED = 4096; // values of an example that is shown
const MOST_ZEROS = 4_000_000; // about as many as a request may have
const MOST_COPIES = 10_000;
const NUMBERS = /^(FP|INT|UINT)/;

/** The form; `close` is there for the view. */
export class PredictForm {
  #document = null;
  #onSubmitted;
  #shown = ""; // name of the model whose fields these are
  #readData = () => null;
  #wanted;
  #timer = 0;
  #isClosed = false;

  /**
   * @param {URLSearchParams} query `model`, and `from`: a job whose data is filled in
   * @param {function(string[], object)} onSubmitted gets the ids of the jobs, and the model's document
   */
  constructor(query, onSubmitted) {
    this.#onSubmitted = onSubmitted;
    this.#wanted = query;
    this.model = el("select", { id: "form-model", on: { change: () => this.#choose(this.model.value) } });
    this.fields = el("div", { class: "fields" });
    this.file = new FileChoice(() => (this.fields.hidden = this.file.file !== null));
    this.priority = el(
      "select",
      { id: "form-priority" },
      ["normal", "high", "low"].map((name) => el("option", { value: name }, t(`priority.${name}`))),
    );
    this.timeout = makeSeconds("form-timeout", t("form.timeout.hint"));
    this.expiry = makeSeconds("form-expiry", t("form.expiry.hint"));
    this.copies = el("input", {
      id: "form-copies",
      type: "number",
      min: "1",
      max: MOST_COPIES,
      value: "1",
      inputmode: "numeric",
    });
    this.submit = el("button", { class: "main" }, t("form.submit"));
    this.message = el("p", { class: "error", role: "alert" });
    this.form = el(
      "form",
      { novalidate: true, on: { submit: (event) => this.#submit(event) } },
      labelled(t("form.model"), this.model),
      this.fields,
      this.file.element,
      el(
        "div",
        { class: "options" },
        labelled(t("form.priority"), this.priority),
        labelled(t("form.timeout"), this.timeout),
        labelled(t("form.expiry"), this.expiry),
        labelled(t("form.copies"), this.copies),
      ),
      this.message,
      el("div", { class: "buttons" }, this.submit),
    );
    this.note = el("p", { class: "note" }, t("loading"));
    this.element = el(
      "section",
      { class: "panel", "aria-labelledby": "form-title" },
      el("h2", { id: "form-title" }, t("form.title")),
      this.note,
      this.form,
    );
    this.form.hidden = true;
    this.#readModels();
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #readModels() {
    let list;
    try {
      list = await call("GET", "models");
    } catch (error) {
      setText(this.note, sayProblem(error));
    }
    if (this.#isClosed) return;
    if (!list?.models.length) {
      if (list) setText(this.note, t("form.none"));
      this.#timer = setTimeout(() => this.#readModels(), 3000); // one may come
      return;
    }
    put(
      this.model,
      list.models.map((name) => el("option", { value: name }, name)),
    );
    const wanted = this.#wanted.get("model") ?? list.default;
    this.model.value = list.models.includes(wanted) ? wanted : list.models[0];
    const unavailable = Object.keys(list.unavailable).join(", ");
    setText(this.note, unavailable ? t("form.unavailable", { names: unavailable }) : "");
    this.form.hidden = false;
    await this.#choose(this.model.value);
    if (this.#shown && this.#wanted.has("from")) await this.#fillFrom(this.#wanted.get("from"));
  }

  async #choose(name) {
    setText(this.message, "");
    this.file.clear();
    this.fields.hidden = false;
    this.submit.disabled = true; // until it is known what the model takes
    try {
      const document = await call("GET", `models/${encodeURIComponent(name)}`);
      if (this.model.value !== name) return; // another was chosen meanwhile
      this.#document = document;
      this.#shown = name;
      this.file.ask(document);
      this.#showFields(document.example ?? makeExample(document, MOST_TYPED));
      this.submit.disabled = false;
    } catch (error) {
      if (this.model.value === name) setText(this.message, sayProblem(error));
    }
  }

  async #fillFrom(jobId) {
    const model = this.#shown;
    try {
      const answer = await send("GET", jobPath(jobId, "/data"));
      const isText = /json|text/.test(answer.headers.get("content-type") ?? "");
      const data = await (isText ? answer.text() : answer.blob());
      if (this.model.value !== model) return; // another was chosen meanwhile
      if (isText) this.#showFields(JSON.parse(data));
      else this.file.fill(data, readFileName(answer, `${jobId.slice(0, 32)}.data`));
      setText(this.note, t("form.from", { id: jobId.slice(0, 8) }));
    } catch (error) {
      setText(
        this.message,
        error instanceof Problem ? sayProblem(error) : t("form.invalid.json", { detail: error.message }),
      );
    }
    this.form.scrollIntoView({ block: "nearest" });
  }

  #showFields(data) {
    const signature = describe(this.#document);
    if (data === null || countValues(data) > MOST_TYPED) {
      this.#showLarge(signature, data);
      return;
    }
    const cells = readCells(this.#document, data, MOST_CELLS);
    if (cells) this.#showCells(signature, cells, data);
    else this.#showJson(signature, data, false);
  }

  /** Says what is sent in place of data that is too long to show. */
  #showLarge(signature, data) {
    const isMade = data === null && !this.#document.sample_shape;
    const large = isMade ? makeExample(this.#document, MOST_ZEROS) : data;
    this.#readData = () => large; // without any, the service takes the model's own example
    const key = isMade ? "form.large.zeros" : data === null ? "form.large.example" : "form.large";
    put(this.fields, signature, el("p", { class: "note" }, t(key)));
  }

  #showCells(signature, { names, input }, rows) {
    const isNumber = NUMBERS.test(input.datatype);
    const list = el("div", { class: "data-rows" });
    const read = () =>
      [...list.children].map((row) =>
        [...row.querySelectorAll("input")].map((field) => (isNumber ? readNumber(field.value) : field.value)),
      );
    const show = (values) =>
      put(
        list,
        values.map((row, number) =>
          el(
            "fieldset",
            { class: "cells" },
            el("legend", {}, values.length > 1 ? t("form.row", { n: number + 1 }) : input.name),
            names.map((name, index) =>
              el(
                "label",
                {},
                el("span", {}, name),
                el("input", {
                  type: "text",
                  inputmode: isNumber ? "decimal" : "text",
                  value: row[index] ?? "",
                }),
              ),
            ),
            values.length > 1 &&
              button("×", () => show(read().filter((_, other) => other !== number)), {
                class: "quiet remove",
                "aria-label": t("form.row.remove", { n: number + 1 }),
              }),
          ),
        ),
      );
    show(rows);
    this.#readData = read;
    put(
      this.fields,
      signature,
      list,
      el(
        "div",
        { class: "buttons" },
        readShape(input)[0] === -1 &&
          button(t("form.row.add"), () => show([...read(), read().at(-1)]), { class: "quiet" }),
        button(t("form.json"), () => this.#showJson(signature, read(), true), { class: "quiet" }),
      ),
    );
  }

  #showJson(signature, data, hasCells) {
    const text = el("textarea", { id: "form-data", rows: "8", spellcheck: "false", class: "code" });
    text.value = writeJson(data);
    this.#readData = () => JSON.parse(text.value);
    put(
      this.fields,
      signature,
      labelled(t("form.data"), text),
      hasCells &&
        el(
          "div",
          { class: "buttons" },
          button(t("form.values"), () => this.#leaveJson(data), { class: "quiet" }),
        ),
    );
  }

  #leaveJson(before) {
    try {
      this.#showFields(this.#readData());
    } catch {
      this.#showFields(before);
    }
  }

  async #submit(event) {
    event.preventDefault();
    setText(this.message, "");
    const copies = Math.min(Math.max(Math.trunc(Number(this.copies.value)) || 1, 1), MOST_COPIES);
    const { file } = this.file;
    const document = this.#document;
    const body = { model: document.name, priority: this.priority.value };
    try {
      if (!file) body.data = this.#readData();
    } catch (error) {
      setText(this.message, t("form.invalid.json", { detail: error.message }));
      return;
    }
    if (this.timeout.value) body.timeout = Number(this.timeout.value);
    if (this.expiry.value) body.expires_in = Number(this.expiry.value);
    this.submit.disabled = true;
    setText(this.submit, t("form.submitting"));
    try {
      const jobIds = await (file ? submitFile(file, body, copies) : submitData(body, copies));
      if (!this.#isClosed) this.#onSubmitted(jobIds, document);
    } catch (error) {
      setText(this.message, sayProblem(error));
    } finally {
      this.submit.disabled = this.model.value !== this.#shown;
      setText(this.submit, t("form.submit"));
    }
  }
}

function readNumber(text) {
  const number = Number(text.replace(",", "."));
  return text.trim() === "" ? null : Number.isNaN(number) ? text : number;
}

function describe(document) {
  const list = (title, tensors) =>
    tensors.map((tensor) =>
      el(
        "li",
        {},
        el("span", { class: "note" }, title),
        el("strong", {}, tensor.name),
        el(
          "code",
          {},
          `${tensor.datatype} [${readShape(tensor)
            .map((axis) => (axis === -1 ? "n" : formatNumber(axis)))
            .join(", ")}]`,
        ),
      ),
    );
  return el(
    "div",
    { class: "signature" },
    document.description && el("p", {}, document.description),
    el("ul", {}, list(t("form.input"), document.inputs), list(t("form.output"), document.outputs)),
  );
}

function makeSeconds(id, placeholder) {
  return el("input", { id, type: "number", min: "0.001", step: "any", inputmode: "decimal", placeholder });
}

function labelled(text, field) {
  return el("div", { class: "field" }, el("label", { for: field.id }, text), field);
}
