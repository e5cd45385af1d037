/**
 * Requests to the server over connections that are kept. node:http, because the clients share the machine with the
 * server, and fetch costs several times as much.
 */
import { Agent, request as httpRequest } from "node:http";

export interface Sent {
  /** Default: GET. */
  readonly method?: "PUT" | "POST" | "DELETE";
  readonly body?: string | Uint8Array;
  readonly key: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Sends a request. Rejects where there is no answer. A planted fault stands between client and server here. */
export type Send = (path: string, sent: Sent) => Promise<Answer>;

/** A server that is alive answers sooner, also on a busy machine. */
const TIMEOUT_MS = 300_000;

/** @param url of the server, which may be killed and started again */
export function connectTo(url: string): Send {
  const agent = new Agent({ keepAlive: true });
  return (path, { method = "GET", body, key }) =>
    new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
      const headers = { authorization: `Bearer ${key}`, ...length };
      const sent = httpRequest(`${url}${path}`, { method, agent, headers, timeout: TIMEOUT_MS }, (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("error", reject);
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
      });
      sent.on("timeout", () => sent.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)));
      sent.on("error", reject);
      sent.end(body);
    });
}
