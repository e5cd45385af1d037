/** Calls of the server's API, with the key that the tab remembers. */

const ROOT = new URL("../../", import.meta.url);
const KEY = "mosara-key";

/**
 * @typedef {{name: string, k: number, dIn: number, dOut: number}} Target
 * @typedef {{id: string, generation: string, method: "mo-sara" | "sara" | "lora", heads: number, num_params: number,
 *   bytes: number, base: string, compatible: boolean, targets: Target[], placement: string, created: number,
 *   card: Record<string, unknown>}} Adapter
 * @typedef {{id: string, parent: string | null, max_model_len: number | null}} Model
 */

/** Names of methods, for people. */
export const METHODS = { "mo-sara": "Mo-SARA", sara: "SARA", lora: "LoRA" };

/** A fault that the server reports, or a fault of the connection to it. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {string} [code]
   * @param {number} [status]
   */
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Fires `wanted` with the server's message when it asks for a key. */
export const keyEvents = new EventTarget();

/** @param {string} key */
export function rememberKey(key) {
  if (!/^[\x21-\x7e]+$/.test(key)) throw new ApiError("A key has printable ASCII characters only, and no spaces.");
  sessionStorage.setItem(KEY, key);
}

/**
 * A response that is no error.
 * @param {string} path without a slash at its beginning
 * @param {Omit<RequestInit, "headers"> & {headers?: Record<string, string>}} [init]
 * @throws {ApiError} An AbortError passes through.
 */
export async function call(path, init = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...init.headers, ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(new URL(path, ROOT), { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError("The server cannot be reached. It may have ended, or the network may be down. Try again.");
  }
  if (response.ok) return response;
  const error = await errorOf(response);
  if (response.status === 401) {
    const message = key === null ? error.message : `The key is not accepted. ${error.message}`;
    keyEvents.dispatchEvent(new CustomEvent("wanted", { detail: message }));
  }
  throw error;
}

/** @param {Response} response */
async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const { message, code } = body?.error ?? {};
  return new ApiError(message ?? `The server answered with the status ${response.status}.`, code, response.status);
}

/**
 * All models, the base first, page by page.
 * @returns {AsyncGenerator<Model[], void, void>}
 */
export async function* modelPages() {
  let after = "";
  for (let limit = 500; ; limit = 10_000) {
    const query = new URLSearchParams({ limit: String(limit), ...(after === "" ? {} : { after }) });
    const { data, has_more: hasMore } = await (await call(`v1/models?${query}`)).json();
    yield data;
    if (!hasMore || data.length === 0) return;
    after = data.at(-1).id;
  }
}

/**
 * @param {string} name
 * @returns {Promise<Adapter>}
 */
export async function getAdapter(name) {
  return await (await call(`v1/adapters/${encodeURIComponent(name)}`)).json();
}

/**
 * Uploads a file.
 * @param {string} name
 * @param {Blob} file
 * @param {boolean} mayReplace whether an adapter of this name may be replaced
 * @returns {Promise<Adapter>}
 */
export async function putAdapter(name, file, mayReplace) {
  const headers = { "content-type": "application/octet-stream", ...(mayReplace ? {} : { "if-none-match": "*" }) };
  const path = `v1/adapters/${encodeURIComponent(name)}`;
  return await (await call(path, { method: "PUT", headers, body: file })).json();
}

/** @returns {Promise<{version: string, device: string, weights: string}>} */
export async function getVersion() {
  return await (await call("version")).json();
}
