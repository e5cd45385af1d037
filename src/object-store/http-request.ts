/**
 * One HTTP request to a store, whose answer is read to its end. Faults of the network are faults that may pass. Uses
 * node:http, because `fetch` costs twice as much processor time, and every adapter that is not here needs a request.
 */
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { AppError } from "../errors.ts";
import { PassingFault } from "./request-policy.ts";

export interface StoreRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | undefined;
  /** Ends the request. */
  readonly signal: AbortSignal;
  /** A larger answer is refused. */
  readonly maxBytes: number;
}

/** Redirects are not followed: a signature would go to another host with them. */
export interface Answer {
  readonly status: number;
  readonly bytes: Uint8Array;
  readonly header: (name: string) => string | null;
}

const agents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) };

/**
 * @throws {PassingFault} also for an answer that says that the store is busy
 * @throws {AppError} adapter_too_large
 */
export async function sendRequest(request: StoreRequest): Promise<Answer> {
  return await withPassingFaults(() => exchange(request));
}

/**
 * Reads the answer of a `fetch` that follows redirects, or has other habits of its own.
 * @param send must end when its signal is aborted. @throws as `sendRequest`
 */
export async function readAnswer(send: () => Promise<Response>, maxBytes: number): Promise<Answer> {
  return await withPassingFaults(async () => {
    const response = await send();
    const { status, headers } = response;
    return { status, header: (name) => headers.get(name), bytes: await readFetched(response, maxBytes) };
  });
}

async function withPassingFaults(run: () => Promise<Answer>): Promise<Answer> {
  try {
    const answer = await run();
    const { status } = answer;
    if (status === 408 || status === 429 || status >= 500) throw new PassingFault(`it answers with status ${status}`);
    return answer;
  } catch (error) {
    if (error instanceof AppError || error instanceof PassingFault) throw error;
    const { name, cause: below } = error as Error;
    const cause = below instanceof Error ? below : (error as Error);
    const isLate = cause.name === "TimeoutError" || name === "TimeoutError";
    throw new PassingFault(isLate ? "it does not answer in time" : cause.message || cause.name, { cause: error });
  }
}

async function exchange({ method, url, headers, body, signal, maxBytes }: StoreRequest): Promise<Answer> {
  const isSecure = url.startsWith("https:");
  const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
  const options = { method, headers: { ...headers, ...length }, signal };
  return await new Promise((resolve, reject) => {
    const onResponse = (response: IncomingMessage): void => {
      const header = (name: string): string | null => {
        const value = response.headers[name];
        return Array.isArray(value) ? (value[0] ?? null) : (value ?? null);
      };
      const done = (bytes: Uint8Array): void => resolve({ status: response.statusCode ?? 0, bytes, header });
      readBody(response, maxBytes).then(done, fail);
    };
    // An answer that is cut off by the signal reports a lost connection. The signal has the reason.
    const fail = (error: Error): void => reject(signal.aborted ? (signal.reason as Error) : error);
    const sent = isSecure
      ? httpsRequest(url, { ...options, agent: agents.https }, onResponse)
      : httpRequest(url, { ...options, agent: agents.http }, onResponse);
    sent.on("error", fail);
    sent.end(body);
  });
}

/** A connection that ends too early is an error of the stream. */
async function readBody(response: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  return await new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    response.on("data", (part: Buffer) => {
      length += part.byteLength;
      parts.push(part);
      if (length <= maxBytes) return;
      response.destroy();
      reject(tooLarge(maxBytes));
    });
    response.on("end", () => resolve(Buffer.concat(parts, length)));
    response.on("error", reject);
  });
}

async function readFetched({ body, headers }: Response, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body ?? []) {
    length += (part as Uint8Array).byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    parts.push(part as Uint8Array);
  }
  const announced = headers.get("content-length");
  if (announced !== null && !headers.has("content-encoding") && body !== null && Number(announced) !== length)
    throw new PassingFault(`the connection ended after ${length} of ${announced} bytes`);
  return Buffer.concat(parts, length);
}

const tooLarge = (maxBytes: number): AppError =>
  new AppError("adapter_too_large", `An object of the store is larger than ${maxBytes} bytes.`);
