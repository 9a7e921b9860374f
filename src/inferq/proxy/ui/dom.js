// Elements from code. Whatever comes from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element.
 * @param {string} tag
 * @param {object} properties `class`, `on` (event name to listener), else attributes: false and null leave one out.
 * @param {...(Node|string|number|null)} children
 */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Makes an element of SVG; like `el`. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...keep(children));
  return element;
}

/** Replaces what an element holds. */
export function put(element, ...children) {
  element.replaceChildren(...keep(children));
  return element;
}

function keep(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

/** Changes a text only where it differs, so that a screen reader is not told the same again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A button. */
export function button(text, listener, properties = {}) {
  return el("button", { type: "button", on: { click: listener }, ...properties }, text);
}

/** Calls a function every so many seconds while the page can be seen; returns what stops that. */
export function every(seconds, work) {
  const timer = setInterval(() => document.hidden || work(), seconds * 1000);
  return () => clearInterval(timer);
}
