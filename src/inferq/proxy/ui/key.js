// Asks for an API key.

import { keepKey } from "./api.js";
import { el } from "./dom.js";
import { t } from "./i18n.js";

/**
 * Shows a dialogue, until a key is given.
 * @param {boolean} isRefused whether one was given before that the service does not know
 * @returns {Promise<boolean>} whether there is one now
 */
export function askForKey(isRefused) {
  const field = el("input", {
    type: "password",
    id: "key",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    pattern: "\\s*[\\x21-\\x7e\\xa1-\\xff]+\\s*", // what a header can carry: else fetch fails as if there were no service
    "aria-describedby": "key-note",
    "aria-invalid": isRefused ? "true" : null,
  });
  const dialog = el(
    "dialog",
    { "aria-labelledby": "key-title", class: "narrow" },
    el(
      "form",
      { method: "dialog" },
      el("h2", { id: "key-title" }, t("key.title")),
      isRefused && el("p", { class: "error", role: "alert" }, t("key.wrong")),
      el("label", { for: "key" }, t("key.label")),
      field,
      el("p", { class: "note", id: "key-note" }, t("key.note")),
      el("div", { class: "buttons" }, el("button", { class: "main" }, t("key.use"))),
    ),
  );
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // nothing can be shown without one
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const key = field.value.trim();
      if (key) keepKey(key);
      dialog.remove();
      resolve(key !== "");
    });
  });
}
