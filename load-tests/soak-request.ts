/** One request of the soak. Most are answered, some are aborted and some are refused, as with real clients. */
import { nextUint32, type RandomState } from "../src/tensor/random.ts";
import { BASE_NAME } from "./processes/server-process.ts";

export type SoakOutcome = "answered" | "streamed" | "left by the client" | "past its deadline" | "refused";

type Kind = "plain" | "stream" | "leave" | "deadline" | "unknown model" | "bad body";

/** What the requests are, in turns of twenty. */
const KINDS: readonly Kind[] = [
  ...Array.from({ length: 8 }, () => "plain" as const),
  ...Array.from({ length: 8 }, () => "stream" as const),
  "leave",
  "deadline",
  "unknown model",
  "bad body",
];

/** @throws {Error} for an answer that this kind of request should not have had */
export async function sendSoakRequest(
  url: string,
  number: number,
  adapter: string,
  vocabSize: number,
  random: RandomState,
): Promise<SoakOutcome> {
  const kind = KINDS[number % KINDS.length] as Kind; // an index within it
  const isLong = kind === "leave" || kind === "deadline";
  const body = {
    model: kind === "unknown model" ? `nobody-${number}` : number % 7 === 0 ? BASE_NAME : adapter,
    prompt: Array.from({ length: 1 + (number % 24) }, () => 1 + (nextUint32(random) % (vocabSize - 1))),
    max_tokens: isLong ? 500 : 1 + (number % 8),
    temperature: number % 3 === 0 ? 1 : 0,
    seed: number,
    ignore_eos: true,
    stream: kind === "stream" || kind === "leave",
    ...(kind === "bad body" ? { top_p: 7 } : {}),
    ...(number % 50 === 0 ? { logprobs: 2, echo: true } : {}),
  };
  const abort = new AbortController();
  const response = await fetchTelling(kind, `${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(kind === "deadline" ? { "x-request-timeout-ms": "20" } : {}) },
    body: JSON.stringify(body),
    signal: abort.signal,
  });
  if (kind === "leave") return await leave(response, abort);
  const text = await response.text();
  if (response.status === 503) return "refused";
  return judge(kind, response.status, text);
}

/** As `fetch`, whose own error does not say what has happened. */
async function fetchTelling(kind: Kind, url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    const reason = (cause as Error).cause;
    throw new Error(`a ${kind} request got no answer: ${reason instanceof Error ? reason.message : String(cause)}`, {
      cause,
    });
  }
}

async function leave(response: Response, abort: AbortController): Promise<SoakOutcome> {
  await response.body?.getReader().read();
  abort.abort();
  return "left by the client";
}

function judge(kind: Kind, status: number, text: string): SoakOutcome {
  const wrong = (): never => {
    throw new Error(`a ${kind} request got ${status}: ${text.slice(0, 300)}`);
  };
  if (kind === "unknown model") return status === 404 ? "refused" : wrong();
  if (kind === "bad body") return status === 400 ? "refused" : wrong();
  if (kind === "deadline") return status === 504 || status === 200 ? "past its deadline" : wrong();
  if (status !== 200) return wrong();
  if (kind === "plain") return "answered";
  return text.includes("data: [DONE]") ? "streamed" : wrong();
}
