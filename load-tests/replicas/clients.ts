/**
 * Streams at a time until a deadline. Most are bare requests that count everything, some are OpenAI's SDK as users have
 * it.
 */
import OpenAI from "openai";
import { type PlannedRequest, planRequests } from "../client/draw.ts";
import { promptOf, type RequestOutcome, streamRequest, type Target } from "../client/stream.ts";
import type { ReplicasOptions } from "./options.ts";

/** So many of the streams are OpenAI's SDK. */
const SDK_CLIENTS = 4;
/** The prompts of each adapter. The same prompt must get the same answer from every replica. */
const PROMPTS = [
  "Hello, where is my red kettle from order 4821?",
  "I am Belta. Please cancel my order 7305.",
  "Do you have a blue lamp? What does it cost?",
  "The kettle is broken. I want my money back.",
];
/** The plan of a run is repeated after so many requests. */
const PLANNED = 20_000;

/** What OpenAI's SDK made of its requests. */
export interface SdkCounts {
  complete: number;
  /** Streams that ended with an exception, by its class. */
  readonly thrown: Map<string, number>;
  /** Streams that ended as if they were complete, without a finish reason: the user would not know. */
  cutInSilence: number;
}

export interface ClientsRun {
  readonly outcomes: readonly RequestOutcome[];
  readonly sdk: SdkCounts;
  readonly seconds: number;
}

/** Names of the adapters in the shared directory, the busiest first. */
export const adapterNames = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `tenant-${String(index).padStart(3, "0")}`);

/** @param url of a server, whose tokenizer is used */
export async function planned(
  url: string,
  { adapters, tokens, seed }: ReplicasOptions,
): Promise<readonly PlannedRequest[]> {
  const prompts = await Promise.all(PROMPTS.map((prompt) => tokenize(url, prompt)));
  const workload = {
    promptTokens: { kind: "fixed", tokens: 1 }, // replaced below
    answerTokens: { kind: "fixed", tokens },
    adapters: { kind: "zipf", names: adapterNames(adapters), exponent: 1 },
    vocabSize: 257,
    seed,
  } as const;
  const requests = planRequests(workload, PLANNED);
  return requests.map((request, index) => ({ ...request, promptIds: prompts[index % prompts.length] ?? [] }));
}

async function tokenize(url: string, prompt: string): Promise<readonly number[]> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/tokenize`, { method: "POST", headers, body: JSON.stringify({ prompt }) });
  if (!response.ok) throw new Error(`${url}/tokenize answered ${response.status}`);
  return ((await response.json()) as { tokens: number[] }).tokens; // the server's own schema
}

/** @param numStreams of them, `SDK_CLIENTS` are OpenAI's SDK where `withSdk` is set */
export async function runClients(
  target: Target,
  requests: readonly PlannedRequest[],
  { numStreams, seconds, withSdk }: { numStreams: number; seconds: number; withSdk: boolean },
): Promise<ClientsRun> {
  const startedAt = performance.now();
  const isOver = (): boolean => performance.now() - startedAt > seconds * 1000;
  let next = 0;
  const draw = (): PlannedRequest => requests[next++ % requests.length] as PlannedRequest; // never empty
  const outcomes: RequestOutcome[] = [];
  const sdk: SdkCounts = { complete: 0, thrown: new Map(), cutInSilence: 0 };
  const bare = async (): Promise<void> => {
    while (!isOver()) outcomes.push(await streamRequest(target, draw()));
  };
  const client = new OpenAI({ baseURL: `${target.url}/v1`, apiKey: "none" });
  const withClient = async (): Promise<void> => {
    while (!isOver()) await askSdk(client, target, draw(), sdk);
  };
  const numSdk = withSdk ? SDK_CLIENTS : 0;
  await Promise.all(Array.from({ length: numStreams }, (_, index) => (index < numSdk ? withClient() : bare())));
  return { outcomes, sdk, seconds: (performance.now() - startedAt) / 1000 };
}

async function askSdk(client: OpenAI, target: Target, request: PlannedRequest, counts: SdkCounts): Promise<void> {
  const { maxTokens, adapter } = request;
  try {
    const stream = await client.completions.create(
      {
        model: adapter ?? target.model,
        prompt: promptOf(target, request),
        max_tokens: maxTokens,
        temperature: 0,
        stream: true,
        ...target.fieldsOf?.(adapter),
      },
      { headers: target.headersOf?.(adapter) },
    );
    let isFinished = false;
    for await (const { choices } of stream) isFinished ||= choices.some(({ finish_reason }) => finish_reason !== null);
    if (isFinished) counts.complete += 1;
    else counts.cutInSilence += 1;
  } catch (error) {
    const { name } = (error as Error).constructor;
    counts.thrown.set(name, (counts.thrown.get(name) ?? 0) + 1);
  }
}
