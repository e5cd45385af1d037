/**
 * What keys, limits and receipts cost. Three servers of one base: without any of them, with receipts alone, and with
 * receipts, a file of 200 keys, and limits of each key and tenant that refuse nothing. They answer in turns, 16 clients
 * each, on an adapter of each client's own. Answers are not streamed, because only such answers have a receipt without
 * asking. Usage is counted in all of them: it cannot be switched off.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import { openBase } from "../../../src/base/base.ts";
import { type PlannedRequest, planRequests } from "../../client/draw.ts";
import { randomAdapter } from "../../inputs/random-adapter.ts";
import { weightName } from "../../inputs/work-folder.ts";
import { type BenchOptions, fewRounds } from "../../options.ts";
import { cpuSecondsOf } from "../../processes/process-memory.ts";
import { type Server, startServer } from "../../processes/server-process.ts";
import { type Figure, ratio } from "../../report/figures.ts";
import { measureInTurns, secondsOf, type Variant } from "../../rounds.ts";
import type { BenchContext, Scenario } from "../../scenario.ts";

const DEMO = fileURLToPath(new URL("../../../../models/demo", import.meta.url));
const NUM_CLIENTS = 16;
const NUM_KEYS = 200;
const PROMPT_TOKENS = 16;
const ANSWER_TOKENS = 16;
/** Requests of a client in a sample: seconds on the demo, and one batch on the 0.5 B shape. */
const PER_CLIENT = { demo: 25, shape: 1 };

export const tenantsScenario: Scenario = {
  name: "tenants",
  summary: "Requests/s with keys, limits and receipts ÷ without them, on the demo and on the shape of 0.5 B.",
  run: async (context) => {
    const { options, folder } = context;
    const demo = await measureBase(context, DEMO, "demo", options.isSmoke ? 1 : PER_CLIENT.demo);
    const [first] = options.weights;
    if (first === undefined) return demo;
    const shape = await folder.base({ weights: first, targets: ["q_proj", "v_proj"] });
    return [...demo, ...(await measureBase(context, shape, weightName(first), PER_CLIENT.shape))];
  },
};

/** Flags of a server, and whether its clients have keys. */
interface Kind {
  readonly name: string;
  readonly flags: readonly string[];
  readonly hasKeys: boolean;
}

const OPEN: Kind = { name: "open", flags: ["--receipts", "asked"], hasKeys: false };
const RECEIPTS: Kind = { name: "receipts", flags: ["--receipts", "all"], hasKeys: false };
const KEYED: Kind = { name: "keys, limits, receipts", flags: ["--receipts", "all"], hasKeys: true };

async function measureBase(
  { folder, options, note }: BenchContext,
  baseDir: string,
  name: string,
  perClient: number,
): Promise<readonly Figure[]> {
  return await folder.withScratch(async (scratch) => {
    note(`measuring servers on ${name}`);
    await using open = await startKind(OPEN, baseDir, scratch, options);
    await using receipts = await startKind(RECEIPTS, baseDir, scratch, options);
    await using keyed = await startKind(KEYED, baseDir, scratch, options);
    const cpu = new Map<string, number[]>();
    const variants = [open, receipts, keyed].map((one) => variantOf(one, perClient, cpu));
    const of = await measureInTurns(variants, fewRounds(options, 11));
    const against = (kind: Kind, isPromise: boolean): readonly Figure[] => [
      isPromise && name === "demo"
        ? ratio(`requests/s, ${kind.name} ÷ open`, of(kind.name), of(OPEN.name), { atLeast: 0.985 }, "tenants")
        : ratio(`requests/s, ${kind.name} ÷ open`, of(kind.name), of(OPEN.name)),
      ratio(`processor time, ${kind.name} ÷ open`, cpu.get(kind.name) ?? [], cpu.get(OPEN.name) ?? []),
    ];
    const figures = [
      { what: "16 clients, open", unit: "requests/s", samples: of(OPEN.name) },
      { what: "16 clients, keys, limits, receipts", unit: "requests/s", samples: of(KEYED.name) },
      ...against(KEYED, true),
      ...against(RECEIPTS, false),
    ];
    return figures.map((figure) => ({ ...figure, what: `${name}: ${figure.what}` }));
  });
}

interface Started extends AsyncDisposable {
  readonly kind: Kind;
  readonly server: Server;
  readonly vocabSize: number;
}

const keyOf = (client: number): string => `key-of-client-${client}`;
const ADAPTER = "own";

async function startKind(kind: Kind, baseDir: string, scratch: string, { numThreads }: BenchOptions): Promise<Started> {
  const folder = join(scratch, kind.name.replaceAll(/\W+/g, "-"));
  const keysFile = `${folder}.json`;
  if (kind.hasKeys) writeFileSync(keysFile, JSON.stringify(keysOf()));
  const flags = [...kind.flags, ...(kind.hasKeys ? ["--keys", keysFile] : [])];
  const server = await startServer(baseDir, folder, numThreads, flags);
  await using base = await openBase(baseDir);
  const { manifest } = base;
  for (let client = 0; client < NUM_CLIENTS; client++) {
    const name = kind.hasKeys ? ADAPTER : `${ADAPTER}-${client}`;
    const response = await fetch(`${server.url}/v1/adapters/${name}`, {
      method: "PUT",
      body: Buffer.from(encodeAdapter(randomAdapter(manifest, client + 1))),
      headers: kind.hasKeys ? { authorization: `Bearer ${keyOf(client)}` } : {},
    });
    if (!response.ok)
      throw new Error(`The upload of ${name} was answered ${response.status}: ${await response.text()}`);
    await response.arrayBuffer();
  }
  const { vocabSize } = manifest.config;
  return { kind, server, vocabSize, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Keys of as many tenants as there are clients, and others. Their limits are counted and never reached. */
function keysOf(): object {
  const limits = { requestsPerMinute: 1e9, tokensPerMinute: 1e12, concurrent: 1e6 };
  const keys = Array.from({ length: NUM_KEYS }, (_, i) => ({
    id: `key-${i}`,
    sha256: createHash("sha256").update(keyOf(i)).digest("hex"),
    tenant: `tenant-${i % (2 * NUM_CLIENTS)}`,
    scopes: ["use", "write"],
    limits,
  }));
  const tenants = Array.from({ length: NUM_CLIENTS }, (_, i) => [
    `tenant-${i}`,
    { limits: { ...limits, queueShare: 1 } },
  ]);
  return { version: 1, tenants: Object.fromEntries(tenants), keys };
}

function variantOf({ kind, server, vocabSize }: Started, perClient: number, cpu: Map<string, number[]>): Variant {
  let seed = 0;
  const agent = new Agent({ keepAlive: true, maxSockets: NUM_CLIENTS });
  const run = async (count: number): Promise<void> => {
    const requests = planRequests(
      {
        promptTokens: { kind: "fixed", tokens: PROMPT_TOKENS },
        answerTokens: { kind: "fixed", tokens: ANSWER_TOKENS },
        adapters: { kind: "none" },
        vocabSize,
        seed: seed++,
      },
      NUM_CLIENTS * count,
    );
    const client = async (number: number): Promise<void> => {
      for (let i = number; i < requests.length; i += NUM_CLIENTS)
        await post(`${server.url}/v1/completions`, agent, kind, number, requests[i]!); // below the length
    };
    await Promise.all(Array.from({ length: NUM_CLIENTS }, (_, number) => client(number)));
  };
  const measure = async (): Promise<number> => {
    const before = cpuSecondsOf(server.pid);
    const seconds = await secondsOf(() => run(perClient));
    cpu.set(kind.name, [...(cpu.get(kind.name) ?? []), cpuSecondsOf(server.pid) - before]);
    return (NUM_CLIENTS * perClient) / seconds;
  };
  return { name: kind.name, measure: async () => await measure(), warmUp: () => run(1) };
}

/**
 * One whole answer. node:http, because the clients share the machine with the server, and fetch costs several times as
 * much.
 */
function post(url: string, agent: Agent, kind: Kind, client: number, request: PlannedRequest): Promise<void> {
  const { promptIds: prompt, maxTokens } = request;
  const model = kind.hasKeys ? ADAPTER : `${ADAPTER}-${client}`;
  const body = JSON.stringify({ model, prompt, max_tokens: maxTokens, temperature: 0, ignore_eos: true });
  const headers: Record<string, string | number> = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...(kind.hasKeys ? { authorization: `Bearer ${keyOf(client)}` } : {}),
  };
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { method: "POST", agent, headers }, (response) => {
      const isGood = response.statusCode === 200;
      const hasReceipt = response.headers["x-mosara-receipt"] !== undefined;
      response.on("error", reject).on("end", () => {
        if (isGood && hasReceipt === kind.flags.includes("all")) resolve();
        else
          reject(
            new Error(`A request was answered ${response.statusCode}, ${hasReceipt ? "with" : "without"} a receipt.`),
          );
      });
      response.resume();
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
