/** The whole application over the arithmetic engine, a real store in a temporary directory and a byte tokenizer. */
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdaptorServer, type ServerType } from "@hono/node-server";
import { type Logger, pino } from "pino";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import type { BaseSignature } from "../../src/adapter/adapter.ts";
import type { AccessPolicy } from "../../src/http/access-policy.ts";
import { type App, createApp } from "../../src/http/app.ts";
import type { AppContext, Text } from "../../src/http/context.ts";
import { adapterLabel } from "../../src/http/adapters/adapter-label.ts";
import { AdapterFits } from "../../src/http/adapters/adapter-fits.ts";
import { openRollouts } from "../../src/http/aliases/open-rollouts.ts";
import { InlineAdapters } from "../../src/http/completion/model/inline-adapters.ts";
import type { Training } from "../../src/http/fine-tuning/training.ts";
import { GenerationNames } from "../../src/http/generation-names.ts";
import { ResponseStore } from "../../src/http/completion/responses/response-store.ts";
import { Residency } from "../../src/http/residency.ts";
import { InFlight } from "../../src/http/request/in-flight.ts";
import { JobRunner } from "../../src/jobs/job-runner.ts";
import { JobStore } from "../../src/jobs/job-store.ts";
import { KeyRing } from "../../src/keys/key-ring.ts";
import { Limiter } from "../../src/limits/limiter.ts";
import { MemoryCounters } from "../../src/limits/memory-counters.ts";
import { Placements } from "../../src/placement/placements.ts";
import type { ReasoningFormat } from "../../src/http/completion/answer-format/reasoning-format.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { openAdapterDirectory } from "../../src/store/directory/adapter-directory.ts";
import { ReceiptIssuer } from "../../src/receipt/receipt-issuer.ts";
import { openReceiptKey } from "../../src/receipt/receipt-key.ts";
import type { ObjectStore } from "../../src/object-store/object-store.ts";
import type { Lookup } from "../../src/store/published/published-names.ts";
import { SharedStore } from "../../src/store/published/shared-store.ts";
import { qualifiedName } from "../../src/store/tenant.ts";
import { type AdapterStore, openAdapterStore } from "../../src/store/adapter-store.ts";
import { madeUpAdapter } from "./models/adapters.ts";
import { converterFor } from "./models/peft.ts";
import {
  type ArithmeticEngine,
  type ArithmeticEngineOptions,
  createArithmeticEngine,
  END_ID,
  HIDDEN_SIZE,
} from "./engine/arithmetic-engine.ts";
import { byteText } from "./byte-text.ts";

export interface TestApp extends AsyncDisposable {
  readonly app: App;
  readonly context: AppContext;
  readonly engine: ArithmeticEngine;
  readonly store: AdapterStore;
  /** How look-ups of names in the shared store ended. */
  readonly lookups: readonly Lookup[];
  readonly metrics: Metrics;
  /** What was logged, one JSON object a line. */
  readonly log: string[];
  post(path: string, body: unknown, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>;
  put(name: string, bytes: Uint8Array, headers?: Record<string, string>): Promise<Response>;
  /** Listens on a free port. */
  listen(): Promise<string>;
}

export interface TestAppOptions extends ArithmeticEngineOptions {
  readonly access?: Partial<AccessPolicy>;
  readonly keys?: readonly { tenant: string; key: string }[];
  readonly logsPrompts?: boolean;
  readonly maxJsonBytes?: number;
  readonly maxAdapterBytes?: number;
  readonly adaptersDir?: string;
  readonly addresses?: AppContext["addresses"];
  /** A store that servers share, and how long and how many copies of its names are kept. */
  readonly objects?: ObjectStore;
  readonly refreshMs?: number;
  readonly maxStaleMs?: number;
  readonly maxCacheBytes?: number;
  readonly keepGenerations?: number;
  readonly refusesUnknownFields?: boolean;
  readonly receipts?: "all" | "asked";
  /** Ids that the tokenizer puts before a text. */
  readonly startIds?: readonly number[];
  readonly responseStoreBytes?: number;
  readonly inlineCacheBytes?: number;
  /** Other marks of reasoning than none. */
  readonly reasoning?: ReasoningFormat;
  /** Another tokenizer than the one of bytes. */
  readonly text?: Text;
}

/** Bytes of an adapter that fits the test base. */
export function fittingAdapter(seed: number): Uint8Array {
  return encodeAdapter(madeUpAdapter({ seed }));
}

/** The base that `madeUpAdapter` is made for. */
function fittingSignature(): BaseSignature {
  const adapter = madeUpAdapter({ seed: 1 });
  return { baseId: adapter.baseId, linears: new Map(adapter.targets.map((target) => [target.name, target])) };
}

/** A made-up server: nothing here computes on it. */
const HASH = "0".repeat(64);

const ENVIRONMENT = {
  program: { mosara: "1.2.3", build: "test", onnxruntime: "0", node: process.versions.node },
  machine: { arch: "x64", features: [], device: "cpu" as const, threads: 1 },
  base: { id: HASH, weights: "float32", form: HASH, bases: HASH },
  speculativeTokens: 0,
  draftModel: null,
};

/** Jobs that are kept, of which none is started. */
async function openTestTraining(dir: string, log: Logger): Promise<Training> {
  const store = await JobStore.open(dir);
  const place = { baseDir: dir, numThreads: 1, defaultRate: () => 1 };
  const ports = {
    store,
    log,
    place,
    program: { entry: new URL("file:///nowhere"), nice: 0 },
    check: () => {},
    publish: async () => {},
  };
  return { store, runner: new JobRunner(ports, 0) };
}

export async function createTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const dir = mkdtempSync(join(tmpdir(), "mosara-http-"));
  const store = await openAdapterStore(join(dir, "store"), { keepGenerations: options.keepGenerations ?? 1 });
  const sharedStore =
    options.objects === undefined
      ? null
      : new SharedStore(options.objects, store, {
          refreshMs: options.refreshMs ?? 60_000,
          maxStaleMs: options.maxStaleMs ?? 60_000,
          maxCacheBytes: options.maxCacheBytes ?? 2 ** 30,
          maxAdapterBytes: 2 ** 20,
          keepGenerations: options.keepGenerations ?? 1,
          onLookup: (lookup) => void lookups.push(lookup),
          onChange: (owned, generation) => placements.follow(qualifiedName(owned), generation),
        });
  const lookups: Lookup[] = [];
  const engine = createArithmeticEngine(options);
  const log: string[] = [];
  const logger = pino({ level: "debug" }, { write: (line: string) => void log.push(line) });
  const names = new GenerationNames();
  const keys = new KeyRing(options.keys ?? []);
  const placements = new Placements({
    engine,
    store,
    onMerged: ({ seconds }) => metrics.recordMerge(seconds),
    onFailed: () => {},
  });
  const residency = new Residency(engine, store, placements, (owned) => adapterLabel(keys, owned));
  const metrics = new Metrics({
    modelName: "base",
    usesPrefixCache: true,
    nameOfGeneration: (generation) => names.nameOf(generation),
    facts: () => ({
      live: store.count() - placements.numMerged,
      merged: placements.numMerged,
      storeBytes: store.totalBytes(),
      capacity: engine.limits()?.capacity ?? null,
      draftBytes: null,
      residency: residency.facts(),
    }),
  });
  engine.onStats((stats) => metrics.recordStep(stats));
  engine.onRestart(() => metrics.recordRestart());
  const directory =
    options.adaptersDir === undefined
      ? null
      : await openAdapterDirectory(options.adaptersDir, store, {
          onEvent: () => {},
          convertPeft: converterFor(madeUpAdapter({ method: "lora" })),
        });
  const training = await openTestTraining(join(dir, "training"), pino({ level: "silent" }));
  const context: AppContext = {
    version: "1.2.3",
    base: {
      name: "base",
      signature: fittingSignature(),
      fits: new AdapterFits(fittingSignature()),
      hiddenSize: HIDDEN_SIZE,
      weights: "float32",
      device: "cpu",
      endIds: [END_ID],
      samplingDefaults: {},
      created: 1_700_000_000,
    },
    engine,
    readiness: () => engine.readiness(),
    store,
    sharedStore,
    addresses: options.addresses ?? null,
    placements,
    text: options.text ?? byteText(options.startIds ?? [], options.reasoning ?? null),
    metrics,
    logsPrompts: options.logsPrompts === true,
    log: logger,
    keys,
    limiter: new Limiter(new MemoryCounters()),
    access: { hasPublicMetrics: false, corsOrigins: [], hosts: null, ...options.access },
    limits: {
      maxJsonBytes: options.maxJsonBytes ?? 2 ** 24,
      maxAdapterBytes: options.maxAdapterBytes ?? 2 ** 20,
      maxTrainingFileBytes: 2 ** 20,
      refusesUnknownFields: options.refusesUnknownFields ?? false,
      verifiesUploads: "report",
      receipts: options.receipts ?? "all",
    },
    inFlight: new InFlight(),
    names,
    residency,
    inlineAdapters: new InlineAdapters(options.inlineCacheBytes ?? 2 ** 20),
    receipts: new ReceiptIssuer(await openReceiptKey(join(dir, "receipt-key.pem")), ENVIRONMENT),
    rollouts: openRollouts({ engine, store, sharedStore, log: logger, metrics }),
    training,
    responses: new ResponseStore(options.responseStoreBytes ?? 2 ** 20),
    adapters: directory && options.adaptersDir !== undefined ? { root: options.adaptersDir, directory } : null,
  };
  const app = createApp(context);
  let server: ServerType | undefined;
  return {
    app,
    context,
    engine,
    store,
    lookups,
    metrics,
    log,
    post: async (path, body, headers = {}, signal) =>
      await app.request(path, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...(signal ? { signal } : {}),
      }),
    put: async (name, bytes, headers = {}) =>
      await app.request(`/v1/adapters/${name}`, { method: "PUT", headers, body: Buffer.from(bytes) }),
    listen: async () => {
      const started = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false });
      server = started;
      await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
      return `http://127.0.0.1:${(started.address() as AddressInfo).port}`;
    },
    [Symbol.asyncDispose]: async () => {
      if (server && "closeAllConnections" in server) server.closeAllConnections();
      await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
      metrics.close();
      await directory?.close();
      await sharedStore?.[Symbol.asyncDispose]();
      await store.close();
      await training.store[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
