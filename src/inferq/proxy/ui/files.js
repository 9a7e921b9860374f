// Files: one that is chosen as the data of a job, thumbnails of pictures, and downloads.

import { button, el, put, setText } from "./dom.js";
import { formatSize, t } from "./i18n.js";

const MOST_PICTURED_BYTES = 32 * 1024 * 1024;
const REVOKED_AFTER_MS = 1000;

/** A field for a file that is sent as it is. */
export class FileChoice {
  #onChange;

  /** @param {function()} onChange is told of another choice */
  constructor(onChange) {
    this.#onChange = onChange;
    this.field = el("input", {
      id: "form-file",
      type: "file",
      on: {
        change: () => {
          this.#show();
          onChange();
        },
      },
    });
    this.label = el("label", { for: "form-file" });
    this.shown = el("div", { class: "chosen" });
    this.clearing = button(
      t("form.file.clear"),
      () => {
        this.clear();
        onChange();
        this.field.focus();
      },
      { class: "quiet" },
    );
    this.element = el("div", { class: "field file" }, this.label, this.field, this.shown);
    this.clear();
  }

  /** The file that is chosen; null if none is. */
  get file() {
    return this.field.files[0] ?? null;
  }

  /** Chooses some content, as the reader would a file. */
  fill(content, name) {
    const transfer = new DataTransfer();
    transfer.items.add(new File([content], name, { type: content.type }));
    this.field.files = transfer.files;
    this.#show();
    this.#onChange();
  }

  clear() {
    this.field.value = "";
    this.#show();
  }

  /** Says which files the model of a document takes. */
  ask(document) {
    setText(this.label, t(document.image ? "form.file.picture" : document.audio ? "form.file.sound" : "form.file"));
  }

  #show() {
    const { file } = this;
    put(this.shown, file && makeThumbnail(file, file.name), file && this.clearing);
  }
}

/** Shows a picture, small; nothing for what is none, or none that the browser knows. */
export function makeThumbnail(content, name) {
  if (!content.type.startsWith("image/") || content.size > MOST_PICTURED_BYTES) return null;
  const url = URL.createObjectURL(content);
  const image = el("img", { class: "thumbnail", alt: name, src: url });
  image.addEventListener("load", () => {
    URL.revokeObjectURL(url);
    image.title = `${name}: ${image.naturalWidth} × ${image.naturalHeight}, ${formatSize(content.size)}`;
  });
  image.addEventListener("error", () => {
    URL.revokeObjectURL(url);
    image.remove();
  });
  return image;
}

/** Lets the reader keep some content as a file. */
export function saveAs(content, name) {
  const url = URL.createObjectURL(content);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), REVOKED_AFTER_MS);
}

/** Returns the name that the service gives a download. */
export function readFileName(answer, otherwise) {
  return /filename="?([^";]+)/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? otherwise;
}

/** Returns the bytes of a file in base64. */
export function readBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}
