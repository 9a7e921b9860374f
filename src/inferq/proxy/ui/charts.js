// Small charts of the last hour, a bar a minute, as SVG. What they say is their label, too.

import { el, svg } from "./dom.js";
import { formatNumber, formatTime, t } from "./i18n.js";

const WIDTH = 300;
const HEIGHT = 48;
const MINUTES = 60;

/** Jobs that ended: completed, and failed above them. */
export function makeEndedChart(minutes) {
  const most = Math.max(0, ...minutes.map((one) => one.completed + one.failed));
  const failed = minutes.reduce((sum, one) => sum + one.failed, 0);
  const last = minutes.at(-2) ?? minutes.at(-1);
  const said = t("chart.ended.said", { now: last ? last.completed + last.failed : 0, most, failed });
  const bars = minutes.map((one, index) => [
    svg(
      "title",
      {},
      t("chart.bar", { time: formatMinute(one.at), completed: one.completed, failed: one.failed }),
    ),
    makeBar(index, minutes.length, 0, one.completed, most, "completed"),
    makeBar(index, minutes.length, one.completed, one.failed, most, "failed"),
  ]);
  return makeChart(t("chart.ended"), said, most, bars);
}

/** Most jobs that waited at a time. */
export function makeWaitingChart(minutes) {
  const most = Math.max(0, ...minutes.map((one) => one.waiting));
  const last = minutes.at(-2) ?? minutes.at(-1);
  const said = t("chart.waiting.said", { now: last?.waiting ?? 0, most });
  const bars = minutes.map((one, index) => [
    svg("title", {}, t("chart.point", { time: formatMinute(one.at), n: one.waiting })),
    makeBar(index, minutes.length, 0, one.waiting, most, "pending"),
  ]);
  return makeChart(t("chart.waiting"), said, most, bars);
}

// the latest minute is at the right, however many there are
function makeBar(index, count, from, value, most, kind) {
  const step = WIDTH / MINUTES;
  const height = most ? (value / most) * (HEIGHT - 1) : 0;
  const y = HEIGHT - (most ? (from / most) * (HEIGHT - 1) : 0) - height;
  if (!value) return null;
  return svg("rect", {
    class: kind,
    x: (MINUTES - count + index) * step + 0.5,
    y: Math.min(y, HEIGHT - 1),
    width: step - 1,
    height: Math.max(height, 1),
  });
}

function makeChart(title, said, most, bars) {
  return el(
    "figure",
    { class: "chart" },
    el("figcaption", {}, el("span", {}, title), el("span", { class: "number" }, formatNumber(most))),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": said },
      svg("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }),
      bars.map((parts) => svg("g", {}, ...parts.filter(Boolean))),
    ),
    el(
      "div",
      { class: "axis note", "aria-hidden": "true" },
      el("span", {}, t("chart.ago")),
      el("span", {}, t("chart.now")),
    ),
  );
}

function formatMinute(at) {
  return formatTime(at).replace(/:\d\d(?=\D*$)/, "");
}
