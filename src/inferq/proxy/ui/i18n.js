// Texts in the language of the reader, and how numbers and times are written in it.

import { TEXTS } from "./texts.js";

const LANGUAGE = "inferq-language";

export const LANGUAGES = { en: "English", ja: "日本語" };

const UNITS = {
  en: { ms: " ms", s: " s", min: " min", h: " h", d: " d", between: " " },
  ja: { ms: " ms", s: " 秒", min: " 分", h: " 時間", d: " 日", between: " " },
};

let language = readLanguage();
document.documentElement.lang = language;

function readLanguage() {
  const wanted = [localStorage.getItem(LANGUAGE), ...navigator.languages.map((one) => one.split("-")[0])];
  return wanted.find((one) => one in TEXTS) ?? "en";
}

export function currentLanguage() {
  return language;
}

/** Changes the language, for this and later visits. */
export function setLanguage(name) {
  language = name;
  localStorage.setItem(LANGUAGE, name);
  document.documentElement.lang = name;
}

/**
 * Returns a text.
 * @param {string} key
 * @param {object} values for the names in braces; where `n` is 1, the text `key.one` is used if there is one
 */
export function t(key, values = {}) {
  const texts = TEXTS[language];
  const text = (values.n === 1 && texts[`${key}.one`]) || texts[key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? formatNumber(value) : value;
  });
}

export function formatNumber(value, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

/** A value of a tensor: six digits that count. */
export function formatValue(value) {
  return new Intl.NumberFormat(language, { maximumSignificantDigits: 6, useGrouping: false }).format(value);
}

/** A rate: more digits where it is small. */
export function formatRate(perSecond) {
  return formatNumber(perSecond, perSecond < 10 ? 1 : 0);
}

export function formatSize(bytes) {
  const power = Math.min(Math.floor(Math.log(Math.max(bytes, 1)) / Math.log(1024)), 3);
  return `${formatNumber(bytes / 1024 ** power, power ? 1 : 0)} ${["B", "KiB", "MiB", "GiB"][power]}`;
}

/** A length of time in one or two units. */
export function formatDuration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return t("none");
  const units = UNITS[language];
  if (seconds < 1) return `${formatNumber(Math.max(seconds, 0) * 1000)}${units.ms}`;
  if (seconds < 60) return `${formatNumber(seconds, seconds < 10 ? 1 : 0)}${units.s}`;
  const steps = [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  const first = steps.findIndex(([, length]) => seconds >= length);
  return steps
    .slice(first, first + 2)
    .map(([name, length], index) => [
      name,
      Math.floor(index ? (seconds % steps[first][1]) / length : seconds / length),
    ])
    .filter(([, count]) => count)
    .map(([name, count]) => `${formatNumber(count)}${units[name]}`)
    .join(units.between);
}

/** Seconds between two times of the API; null where one is missing. */
export function secondsBetween(from, to) {
  return from && to ? Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000) : null;
}

/** A time of day, by the reader's own clock and zone, with the date where it is not today. */
export function formatTime(text, { digits = 0 } = {}) {
  if (!text) return t("none");
  const time = new Date(text);
  const isToday = time.toDateString() === new Date().toDateString();
  const day = isToday ? {} : { month: "short", day: "numeric" };
  const clock = {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: digits || undefined,
  };
  return new Intl.DateTimeFormat(language, { ...day, ...clock, hourCycle: "h23" }).format(time);
}

/** How long ago a time was. */
export function formatAgo(text, now) {
  if (!text) return t("none");
  const seconds = (now - Date.parse(text)) / 1000;
  return seconds < 2 ? t("time.now") : t("time.ago", { duration: formatDuration(Math.floor(seconds)) });
}
