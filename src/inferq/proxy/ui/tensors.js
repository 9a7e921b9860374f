// Data and results as nested arrays, and what a signature says of them.

const MOST_FOLDED = 1_000_000; // characters

/** The axes of an input or output; -1 for one of any length. */
export function readShape(tensor) {
  return tensor.shape ?? [];
}

/** Lengths of the axes of nested arrays. */
export function measureShape(value) {
  const shape = [];
  for (let inner = value; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  return shape;
}

/** How many values nested arrays or an object of them hold. */
export function countValues(data) {
  if (data === null || typeof data !== "object") return 1;
  return Object.values(data).reduce((sum, one) => sum + countValues(one), 0);
}

/** Nested arrays of zeros, empty texts or false. */
function makeZeros(shape, datatype) {
  const zero = { BYTES: "", BOOL: false }[datatype] ?? 0;
  const [length, ...rest] = shape;
  return length === undefined ? zero : Array.from({ length }, () => makeZeros(rest, datatype));
}

/** Returns zeros for a model without an example; null where they are more values than `most`. */
export function makeExample(document, most) {
  if (!document.inputs.length) return {};
  const shapes = document.inputs.map(
    (input) =>
      document.sample_shape?.[input.name] ?? readShape(input).map((axis) => (axis === -1 ? 1 : axis)),
  );
  const count = shapes.reduce((sum, shape) => sum + shape.reduce((product, axis) => product * axis, 1), 0);
  if (count > most) return null;
  const values = document.inputs.map((input, index) => makeZeros(shapes[index], input.datatype));
  if (values.length === 1) return values[0];
  return Object.fromEntries(document.inputs.map((input, index) => [input.name, values[index]]));
}

/**
 * Returns how data can be shown as rows of single fields; null if it cannot.
 * @param {object} document of the model
 * @param {any} data nested arrays
 * @param {number} most fields in a row
 * @returns {{input: object, names: string[]}|null}
 */
export function readCells(document, data, most) {
  const [input] = document.inputs;
  if (document.inputs.length !== 1 || input.datatype === "BOOL" || readShape(input).length !== 2) return null;
  const [, width] = measureShape(data);
  const isTable =
    Array.isArray(data) &&
    data.every((row) => Array.isArray(row) && row.length === width && !row.some(Array.isArray));
  if (!isTable || !width || width > most || data.length > most) return null;
  const names =
    document.feature_names?.length === width
      ? document.feature_names
      : Array.from({ length: width }, (_, index) => `${input.name}[${index}]`);
  return { input, names };
}

/** Writes JSON for people: innermost arrays in one line each. */
export function writeJson(value) {
  const text = JSON.stringify(value, null, 2);
  if (text.length > MOST_FOLDED) return text;
  return text.replace(/\[\s*([^[\]{}]*?)\s*\]/g, (_, values) => `[${values.replace(/,\s+/g, ", ")}]`);
}
