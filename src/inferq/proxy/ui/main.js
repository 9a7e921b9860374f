// The page's frame: which view is shown, the language, the connection, the key.

import { forgetKey, onKeyNeeded, readKey } from "./api.js";
import { button, el, put, setText } from "./dom.js";
import { HealthLines } from "./health.js";
import { LANGUAGES, currentLanguage, formatTime, setLanguage, t } from "./i18n.js";
import { openJobList } from "./jobs.js";
import { askForKey } from "./key.js";
import { openLive } from "./live.js";
import { activity } from "./stream.js";
import { openJob } from "./timeline.js";
import { openWorkers } from "./workers.js";

// the first part of the address behind the # says which view is shown; each opens in an element, with the rest of
// the address and its query, and returns what closes it
const VIEWS = { "": openLive, jobs: openJobList, job: openJob, workers: openWorkers };
const TABS = { "": "nav.live", jobs: "nav.jobs", workers: "nav.workers" };

const main = document.getElementById("main");
const connection = document.getElementById("connection");
const notice = document.getElementById("notice");
const health = new HealthLines(document.getElementById("health"));
const keyButton = document.getElementById("forget-key");
let closeView = () => {};
let shown = null;

function readAddress() {
  const [path, query] = location.hash.slice(1).split("?");
  const [, name = "", rest = ""] = path.match(/^\/?([^/]*)\/?(.*)$/);
  const known = Object.hasOwn(VIEWS, name) ? name : "";
  return { name: known, rest: decode(rest), query: new URLSearchParams(query) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not written by this page
  }
}

function showView() {
  const address = readAddress();
  const focused = document.activeElement?.id; // a filter that is changed while typing
  closeView();
  main.className = `view-${address.name || "live"}`;
  closeView = VIEWS[address.name](put(main), address) ?? (() => {});
  for (const tab of document.querySelectorAll("#tabs a")) {
    const isCurrent = tab.dataset.name === (address.name === "job" ? "jobs" : address.name);
    tab.toggleAttribute("aria-current", isCurrent);
    if (isCurrent) tab.setAttribute("aria-current", "page");
  }
  document.title = `${t(TABS[address.name] ?? "nav.jobs")} · inferq`;
  const isAnother = shown !== null && shown !== `${address.name}/${address.rest}`;
  shown = `${address.name}/${address.rest}`;
  if (isAnother) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  } else if (focused) {
    restoreFocus(focused);
  }
}

function restoreFocus(id) {
  const field = document.getElementById(id);
  if (!main.contains(field)) return;
  field.focus();
  if (field.type === "search") field.setSelectionRange(field.value.length, field.value.length);
}

function showFrame() {
  setText(document.getElementById("skip"), t("skip"));
  const tabs = document.getElementById("tabs");
  tabs.setAttribute("aria-label", t("nav"));
  put(
    tabs,
    Object.entries(TABS).map(([name, key]) => el("a", { href: `#/${name}`, "data-name": name }, t(key))),
    document.documentElement.dataset.mode === "read-only" && el("span", { class: "badge" }, t("readonly")),
  );
  const languages = document.getElementById("languages");
  languages.setAttribute("aria-label", t("language"));
  put(
    languages,
    Object.entries(LANGUAGES).map(([name, title]) =>
      button(title, () => changeLanguage(name), {
        lang: name,
        "aria-pressed": String(name === currentLanguage()),
      }),
    ),
  );
  setText(keyButton, t("key.forget"));
  showKey();
}

function showKey() {
  keyButton.hidden = readKey() === null;
}

function changeLanguage(name) {
  setLanguage(name);
  showFrame();
  showConnection(connection.dataset.state);
  health.show();
  showView();
  document.querySelector(`#languages [lang="${name}"]`).focus();
}

function showConnection(state) {
  connection.dataset.state = state;
  setText(connection, t(`connection.${state}`));
}

function sayLost(problem) {
  showConnection("lost");
  document.body.classList.add("stale");
  const at = activity.snapshot?.at;
  const text = problem.isUnreachable
    ? at
      ? t("lost.unreachable", { time: formatTime(at) })
      : t("lost.never")
    : t("lost.problem", { detail: problem.message });
  setText(notice, text);
  notice.hidden = false;
}

function sayFound() {
  if (connection.dataset.state === "open") return;
  showConnection("open");
  document.body.classList.remove("stale");
  notice.hidden = true;
  setText(notice, "");
  showKey();
}

onKeyNeeded(async (isRefused) => {
  forgetKey();
  const isGiven = await askForKey(isRefused);
  showKey();
  return isGiven;
});
keyButton.addEventListener("click", () => {
  forgetKey();
  activity.restart();
  showView();
  showKey();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // its address would be that of a view
  main.focus();
});
addEventListener("hashchange", showView);
activity.on("open", sayFound);
activity.on("lost", sayLost);

showFrame();
showConnection("wait");
showView();
activity.start();
