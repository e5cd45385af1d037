/**
 * One streamed request to any OpenAI server, and the times at which its pieces arrived. Knows `/v1/completions`
 * (prompts as ids or text) and `/v1/chat/completions`. The target adds other fields that a server needs in the body,
 * such as the one that names an adapter. Uses node:http, because the clients share the machine with the server, and
 * fetch costs several times as much for each piece.
 */
import { Agent as HttpAgent, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { PlannedRequest } from "./draw.ts";

/** A server and how to talk to it. */
export interface Target {
  /** Without `/v1`. */
  readonly url: string;
  /** What `model` says where no adapter is asked for, and where `fieldsOf` says nothing else. */
  readonly model: string;
  /** Default: completions with token ids. `text`: words instead of ids, for servers that take no ids. */
  readonly api?: "completions" | "text" | "chat";
  readonly headers?: Readonly<Record<string, string>>;
  /** Further headers of a request for this adapter. */
  readonly headersOf?: (adapter: string | null) => Readonly<Record<string, string>>;
  /** Further fields of the body. Default: an adapter's name stands as the `model`. */
  readonly fieldsOf?: (adapter: string | null) => Readonly<Record<string, unknown>>;
}

/** Why a request got no whole answer. */
export interface RequestError {
  /** HTTP status; 0 where the connection failed. */
  readonly status: number;
  /** The server's `error.code`, or `stream_broken`, `connection_failed`, `aborted`. */
  readonly code: string;
  readonly message: string;
  /** The `Retry-After` header, in seconds. */
  readonly retryAfter: number | null;
}

/** The outcome of one request. Times are milliseconds since it was due (`dueAt`), on `performance.now()`'s clock. */
export interface RequestOutcome {
  readonly request: PlannedRequest;
  /** When it was to be sent. */
  readonly dueAt: number;
  /** How much later it was sent: how far behind the clients are. */
  readonly sendDelayMs: number;
  /** First piece with text or a token; NaN without any. */
  readonly firstTokenMs: number;
  /** When each piece came; the first is `firstTokenMs`. */
  readonly pieceMs: readonly number[];
  /** The end of the answer, or of the attempt. */
  readonly endMs: number;
  /** Of the response; null where none has begun. */
  readonly headers: IncomingHttpHeaders | null;
  /** The answer, as far as it came. */
  readonly text: string;
  /** As the server counts them (`usage`), or else its pieces. */
  readonly numTokens: number;
  /** As the server counts them; null where it does not tell. */
  readonly numPromptTokens: number | null;
  readonly error: RequestError | null;
}

const httpAgent = new HttpAgent({ keepAlive: true, maxSockets: Infinity });
const httpsAgent = new HttpsAgent({ keepAlive: true, maxSockets: Infinity });

/** Sends a request and reads its answer to the end; failures are part of the outcome, never thrown. */
export async function streamRequest(
  target: Target,
  request: PlannedRequest,
  { dueAt = performance.now(), signal }: { readonly dueAt?: number; readonly signal?: AbortSignal } = {},
): Promise<RequestOutcome> {
  const answer = new Answer(dueAt);
  const sentAt = performance.now();
  let error: RequestError | null = null;
  try {
    const response = await post(target, request, signal);
    error = await answer.read(response);
  } catch (cause) {
    const code = signal?.aborted === true ? "aborted" : "connection_failed";
    error = { status: 0, code, message: (cause as Error).message, retryAfter: null };
  }
  return { request, dueAt, sendDelayMs: sentAt - dueAt, endMs: performance.now() - dueAt, ...answer.result(), error };
}

/** What the target reads as the prompt: ids, or words of the same number. */
export function promptOf({ api }: Target, { promptIds }: PlannedRequest): string | number[] {
  return api === "chat" || api === "text" ? wordsOf(promptIds) : [...promptIds];
}

function bodyOf(target: Target, request: PlannedRequest) {
  const { model, api, fieldsOf } = target;
  const { maxTokens, adapter } = request;
  const prompt = promptOf(target, request);
  return {
    model: adapter ?? model,
    ...(api === "chat" ? { messages: [{ role: "user", content: prompt }] } : { prompt }),
    max_tokens: maxTokens,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
    ...fieldsOf?.(adapter),
  };
}

/** A made-up word for every id, the same for the same id. */
function wordsOf(ids: readonly number[]): string {
  return ids.map((id) => id.toString(26).replace(/\d/g, (digit) => "qrstuvwxyz"[Number(digit)] ?? "")).join(" ");
}

async function post(
  target: Target,
  request: PlannedRequest,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const url = new URL(target.api === "chat" ? "/v1/chat/completions" : "/v1/completions", target.url);
  const isTls = url.protocol === "https:";
  const bytes = Buffer.from(JSON.stringify(bodyOf(target, request)));
  const options = {
    method: "POST",
    agent: isTls ? httpsAgent : httpAgent,
    headers: {
      "content-type": "application/json",
      "content-length": bytes.length,
      ...target.headers,
      ...target.headersOf?.(request.adapter),
    },
    ...(signal ? { signal } : {}),
  };
  const send = (): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const sent = (isTls ? httpsRequest : httpRequest)(url, options, resolve);
      // A server may close a connection that waits just when it is used again: nothing was asked then.
      sent.on("error", (error: NodeJS.ErrnoException) => {
        if (sent.reusedSocket && error.code === "ECONNRESET") resolve(send());
        else reject(error);
      });
      sent.setNoDelay(true);
      sent.end(bytes);
    });
  return await send();
}

/** What of a chunk matters here. */
interface Chunk {
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
    readonly token_ids?: readonly number[] | null;
  }[];
  readonly usage?: { readonly completion_tokens?: number; readonly prompt_tokens?: number } | null;
  readonly error?: { readonly code?: unknown; readonly message?: string };
}

class Answer {
  readonly #dueAt: number;
  readonly #pieceMs: number[] = [];
  #headers: IncomingHttpHeaders | null = null;
  #text = "";
  #numTokens: number | null = null;
  #numPromptTokens: number | null = null;
  #error: RequestError | null = null;
  #isDone = false;

  constructor(dueAt: number) {
    this.#dueAt = dueAt;
  }

  result() {
    return {
      firstTokenMs: this.#pieceMs[0] ?? NaN,
      pieceMs: this.#pieceMs,
      headers: this.#headers,
      text: this.#text,
      numTokens: this.#numTokens ?? this.#pieceMs.length,
      numPromptTokens: this.#numPromptTokens,
    };
  }

  async read(response: IncomingMessage): Promise<RequestError | null> {
    const status = response.statusCode ?? 0;
    this.#headers = response.headers;
    response.setEncoding("utf8");
    let rest = "";
    for await (const text of response as AsyncIterable<string>) {
      rest += text;
      if (status !== 200) continue;
      const at = performance.now() - this.#dueAt;
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#line(line.trimEnd(), at);
    }
    if (status !== 200) return refusal(status, rest, response.headers["retry-after"]);
    if (this.#error) return this.#error;
    if (this.#isDone) return null;
    return { status, code: "stream_broken", message: "The stream ended without [DONE].", retryAfter: null };
  }

  #line(line: string, at: number): void {
    if (!line.startsWith("data:")) return;
    const data = line.slice(5).trim();
    if (data === "[DONE]") {
      this.#isDone = true;
      return;
    }
    const chunk = JSON.parse(data) as Chunk; // a line that is no JSON is a broken stream: thrown, and told as such
    if (chunk.error) this.#error = refusal(200, data, undefined);
    if (chunk.usage) {
      this.#numTokens = chunk.usage.completion_tokens ?? null;
      this.#numPromptTokens = chunk.usage.prompt_tokens ?? null;
    }
    for (const { text, delta } of chunk.choices ?? []) this.#text += text ?? delta?.content ?? "";
    if (chunk.choices?.some(hasContent)) this.#pieceMs.push(at);
  }
}

/** A piece with a token: the ids say so where they are told, or else any text. */
function hasContent({ text, delta, token_ids: ids }: NonNullable<Chunk["choices"]>[number]): boolean {
  const parts = ids == null ? [text, delta?.content, delta?.reasoning_content] : [ids];
  return parts.some((part) => part != null && part.length > 0);
}

function refusal(status: number, body: string, retryAfter: string | undefined): RequestError {
  const error = errorOf(body);
  const code = typeof error?.code === "string" ? error.code : `status_${status}`;
  const seconds = Number(retryAfter);
  return {
    status,
    code,
    message: error?.message ?? body.slice(0, 200),
    retryAfter: retryAfter === undefined || Number.isNaN(seconds) ? null : seconds,
  };
}

function errorOf(body: string): Chunk["error"] {
  try {
    return (JSON.parse(body) as Chunk).error;
  } catch {
    return undefined; // not JSON: the body itself is the message
  }
}
