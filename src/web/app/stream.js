/** Server-sent events, and a chat completion that is streamed as such: one chunk each. */
import { ApiError, call } from "./api.js";

/**
 * @typedef {{content?: string | null, reasoning_content?: string | null,
 *   tool_calls?: {function?: {name?: string, arguments?: string}}[]}} Delta
 * @typedef {{choices: {delta: Delta, finish_reason: string | null}[],
 *   usage?: {completion_tokens: number} | null}} Chunk
 */

/**
 * The chunks of an answer.
 * @param {object} body
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Chunk, void, void>}
 * @throws {ApiError} also when the stream breaks off or carries an error
 */
export async function* chatChunks(body, signal) {
  const headers = { "content-type": "application/json" };
  const response = await call("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
  for await (const data of eventsOf(response, signal)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(chunk.error.message, chunk.error.code);
    yield chunk;
  }
  throw new ApiError("The connection ended before the answer was complete.");
}

/**
 * The data of each event.
 * @param {Response} response
 * @param {AbortSignal} signal
 */
export async function* eventsOf(response, signal) {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      if (signal.aborted) throw error;
      throw new ApiError("The connection broke before the end.");
    });
    if (done) return;
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      const lines = event.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length > 0) yield lines.map((line) => line.slice(5).trim()).join("\n");
    }
  }
}
