// Submits what the form holds.

import { call, send } from "./api.js";
import { readBase64 } from "./files.js";

/**
 * Submits values; null for the model's own example.
 * @param {object} body of the request: `data`, `model` and options
 * @param {number} copies how many jobs
 * @returns {Promise<string[]>} their ids
 */
export async function submitData(body, copies) {
  if (body.data === null) {
    return [(await call("POST", "predict/test", { query: { model: body.model } })).job_id];
  }
  if (copies === 1) return [(await call("POST", "predict", { body })).job_id];
  return (await call("POST", "predict/batch", { body: { jobs: Array(copies).fill(body) } })).job_ids;
}

/** Submits the bytes of a file as they are; of several jobs, which are one request of JSON, in base64. */
export async function submitFile(file, options, copies) {
  if (copies > 1) return submitData({ ...options, data: { b64: await readBase64(file) } }, copies);
  const answer = await send("POST", "predict", { query: options, body: new Blob([file]) });
  return [(await answer.json()).job_id];
}
