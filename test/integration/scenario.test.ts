/**
 * The long scenario: 64 clients at once over 32 adapters of every method, with uploads, replacements, deletions,
 * disconnects and one `kill -9` of the engine in between. Every answer must be what its adapter's generation gives
 * alone.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { type Manifest, readManifest } from "../../src/base/manifest.ts";
import { adapterFile } from "../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../helpers/models/golden-base.ts";
import { childrenOf } from "../helpers/processes.ts";
import {
  codeOf,
  complete,
  metric,
  putAdapter,
  readMetrics,
  send,
  startServer,
  stream,
  type TestServer,
  until,
  untilIdle,
} from "../helpers/server.ts";

const NUM_CLIENTS = 64;
const NUM_ADAPTERS = 32;
/** Requests of each client at least; it continues until the engine has been killed. */
const ROUNDS = 2;
/** A test machine may be busy with other things. */
const TIMEOUT_MS = 300_000;

let server: TestServer;
let manifest: Manifest;
beforeAll(async () => {
  const base = await longLlamaBase(640);
  manifest = await readManifest(base);
  server = await startServer(["--model", base, "--served-model-name", "base"]);
});
afterAll(() => server[Symbol.asyncDispose]());

/** Files of every kind by short generation, as fingerprints name them. */
const files = new Map<string, Uint8Array>();
function makeFile(seed: number): Uint8Array {
  const kinds = [
    { heads: 1 },
    { heads: 3 },
    { heads: 3, router: "full" },
    { method: "sara", rank: 5 },
    { method: "lora", rank: 8 },
  ] as const;
  const file = adapterFile(manifest, { ...kinds[seed % kinds.length], seed });
  files.set(generationOf(file).slice(0, 8), file);
  return file;
}

/** What client `client` asks in round `round`; streamed or not, greedy or sampled, short and long prompts. */
function bodyOf(client: number, round: number) {
  const number = client + NUM_CLIENTS * round;
  const length = [3, 17, 64, 80, 130][number % 5] ?? 3;
  return {
    prompt: Array.from({ length }, (_, i) => 3 + ((i * 13 + client * 7) % 370)),
    max_tokens: 20 + ((number * 11) % 60),
    ...(client % 4 < 2 ? { temperature: 0.9, seed: number, top_p: 0.95 } : {}),
  };
}

interface Outcome {
  readonly client: number;
  readonly round: number;
  readonly model: string;
  /** An error code with its status (or "stream" where an answer had begun), or null. */
  readonly error: string | null;
  readonly ids: readonly number[];
  readonly fingerprint: string;
}

/** One request to its end, whatever that is. */
async function ask(client: number, round: number, model: string): Promise<Outcome> {
  const body = { ...bodyOf(client, round), model };
  const common = { client, round, model };
  if (client % 2 === 1) {
    const answer = await complete(server.url, body);
    const choice = answer.status === 200 ? answer.json.choices[0] : undefined;
    return {
      ...common,
      error: choice === undefined ? codeOf(answer) : null,
      ids: choice?.token_ids ?? [],
      fingerprint: choice === undefined ? "" : answer.json.system_fingerprint,
    };
  }
  const answer = await stream(server.url, body).ended;
  expect(answer.isDone, "either [DONE] or an error").toBe(answer.errorCode === null);
  const where = answer.status === 200 ? "stream" : answer.status;
  const error = answer.errorCode === null ? null : `${where} ${answer.errorCode}`;
  return { ...common, error, ids: answer.ids, fingerprint: answer.fingerprint };
}

const nameOf = (number: number): string => `tenant-${number % NUM_ADAPTERS}`;
/** Names that are deleted on the way; asking for them meanwhile may fail. */
const DELETED = [5, 6, 7].map(nameOf);

it(
  "answers 64 clients over 32 adapters through uploads, replacements, deletions, disconnects and a killed engine",
  async () => {
    for (let i = 0; i < NUM_ADAPTERS; i++)
      expect((await putAdapter(server.url, nameOf(i), makeFile(i))).status).toBe(201);
    const outcomes: Outcome[] = [];
    let isKilled = false;
    const clients = Array.from({ length: NUM_CLIENTS }, async (_, client) => {
      for (let round = 0; round < ROUNDS || !isKilled;) {
        const model = client % 16 === 15 ? "base" : nameOf(client + round * 9);
        const outcome = await ask(client, round % ROUNDS, model);
        outcomes.push(outcome);
        // A client whose request was caught by the kill comes again when the server is ready.
        if (outcome.error?.endsWith("engine_unavailable") !== true) round++;
        else await until("the server to be ready", async () => (await fetch(`${server.url}/readyz`)).status === 200);
      }
    });
    const everyone = Promise.all(clients);

    await until("the first answers", () => outcomes.length >= 10);
    const replaced = [0, 1, 2, 3, 4].map(async (i) => {
      expect((await putAdapter(server.url, nameOf(i), makeFile(100 + i))).status).toBe(200);
    });
    const uploaded = [0, 1, 2].map(async (i) => {
      expect((await putAdapter(server.url, `new-${i}`, makeFile(200 + i))).status).toBe(201);
      outcomes.push(await ask(i, 0, `new-${i}`));
    });
    const deleted = DELETED.map(async (name, i) => {
      expect((await send(`${server.url}/v1/adapters/${name}`, "DELETE")).status).toBe(200);
      expect((await putAdapter(server.url, name, makeFile(300 + i))).status).toBe(201);
    });
    const left = [1, 2, 3, 4, 5, 6].map(async (i) => {
      const abort = new AbortController();
      const leaving = stream(
        server.url,
        { ...bodyOf(i, 0), model: nameOf(8 + i), max_tokens: 400 },
        { signal: abort.signal },
      );
      if (i % 2 === 0) await until("a chunk", () => leaving.answer.numChunks > 0);
      abort.abort();
      await expect(leaving.ended).rejects.toThrow();
    });
    await Promise.all([...replaced, ...uploaded, ...deleted, ...left]);

    await until("a third of the answers", () => outcomes.length >= (NUM_CLIENTS * ROUNDS) / 3);
    const engines = childrenOf(server.pid);
    expect(engines).toHaveLength(1);
    const readiness = async () => (await fetch(`${server.url}/readyz`)).status;
    expect(await readiness()).toBe(200);
    process.kill(engines[0] as number, "SIGKILL"); // there is one
    isKilled = true;
    await until("the server to be not ready", readiness, (status) => status === 503);
    await until("the server to be ready again", readiness, (status) => status === 200);
    await everyone;
    expect(await metric(server.url, "mosara_engine_restarts_total")).toBe(1);
    await untilIdle(server.url);

    const caught = outcomes.filter(({ error }) => error?.endsWith("engine_unavailable") === true);
    expect(caught.length).toBeGreaterThan(0);
    for (const { error } of caught) expect(["503 engine_unavailable", "stream engine_unavailable"]).toContain(error);
    const refused = outcomes.filter((outcome) => outcome.error !== null && !caught.includes(outcome));
    for (const { error, model } of refused)
      expect([error, DELETED.includes(model)]).toEqual(["404 model_not_found", true]);
    const answered = outcomes.filter(({ error }) => error === null);
    expect(answered.length + refused.length).toBeGreaterThanOrEqual(NUM_CLIENTS * ROUNDS + 3);
    await compareWithAlone(answered);
    await expectNothingLeft();
  },
  TIMEOUT_MS,
);

/** Asks for each answer again with nothing beside it, on the generation that its fingerprint names. */
async function compareWithAlone(answered: readonly Outcome[]): Promise<void> {
  const distinct = new Set<string>();
  const known = new Map<string, number[] | undefined>();
  for (const { client, round, model, ids, fingerprint } of answered) {
    const generation = fingerprint.split("_")[2];
    expect(generation === undefined).toBe(model === "base");
    if (generation !== undefined && !distinct.has(generation)) {
      const file = files.get(generation);
      expect(file, `${model}: an answer of ${generation}, which nobody uploaded`).toBeDefined();
      expect((await putAdapter(server.url, `alone-${generation}`, file ?? new Uint8Array())).status).toBe(201);
      distinct.add(generation);
    }
    const body = { ...bodyOf(client, round), model: generation === undefined ? "base" : `alone-${generation}` };
    const key = `${generation} ${client} ${round}`;
    if (!known.has(key)) known.set(key, (await complete(server.url, body)).json.choices[0]?.token_ids);
    expect(known.get(key), `client ${client}, round ${round}, ${model}`).toEqual(ids);
  }
  expect(distinct.size).toBeGreaterThanOrEqual(NUM_ADAPTERS);
}

/** After everything is deleted no memory is held by any generation. */
async function expectNothingLeft(): Promise<void> {
  const { json } = await send<{ data: { id: string }[] }>(`${server.url}/v1/adapters?limit=1000`, "GET");
  for (const { id } of json.data) expect((await send(`${server.url}/v1/adapters/${id}`, "DELETE")).status).toBe(200);
  await untilIdle(server.url);
  const bytes = ["store", "cache"].map((tier) => `mosara_adapter_bytes{tier="${tier}"}`);
  const read = async () => {
    const metrics = await readMetrics(server.url);
    return bytes.map((name) => metrics.get(name));
  };
  await until("the memory of deleted adapters to go", read, (values) => values.every((value) => value === 0));
}
