/**
 * An engine for one command, with its own store. The store holds the adapters, live or merged, and is removed
 * afterwards.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertFits } from "../../adapter/adapter.ts";
import { type Base, openBase } from "../../base/base.ts";
import type { ConfigOf } from "../../config/commands.ts";
import type { EngineLimits, EngineOptions } from "../../engine/protocol.ts";
import { createEngine, type SupervisedEngine } from "../../engine/server/supervisor.ts";
import { openAdapterStore } from "../../store/adapter-store.ts";
import { DEFAULT_TENANT } from "../../store/tenant.ts";
import type { Cleanup } from "./cleanup.ts";
import { type EngineFlags, sharedEngineOptions } from "./engine-options.ts";
import { mergePorts } from "../../placement/merge-ports.ts";
import type { readAdapter } from "./read-adapter.ts";

/** This command alone uses the engine, so no request that fits is refused. */
const NO_BOUND = Number.MAX_SAFE_INTEGER;

export interface EvalEngine {
  readonly engine: SupervisedEngine;
  readonly limits: EngineLimits;
  /** Generation of the adapter to serve; null: the base alone. */
  readonly generation: string | null;
  readonly weights: string;
  /** The end tokens of the base. The tokenizer's own comes with the examples. */
  readonly endIds: readonly number[];
}

type AdapterFile = Awaited<ReturnType<typeof readAdapter>>;
type EvalFlags = EngineFlags & Pick<ConfigOf<"eval">, "adapter" | "placement">;

/** Starts the engine and waits for it. `cleanup` stops it and removes its store. @throws {AppError} */
export async function startEvalEngine(
  config: EvalFlags,
  baseDir: string,
  adapter: AdapterFile | null,
  cleanup: Cleanup,
): Promise<EvalEngine> {
  const base = cleanup.use(await openBase(baseDir));
  if (adapter !== null) assertFits(adapter.adapter, base.signature); // checked first, so that no engine starts in vain
  const contents = config.adapter === null ? [] : [await readFile(config.adapter)];
  const engine = await startCommandEngine(config, base, contents, cleanup);
  const limits = engine.limits();
  if (limits === null) throw new Error("internal: an engine that is ready has limits");
  if (adapter !== null && config.placement === "merged") await engine.merge(adapter.generation);
  return {
    engine,
    limits,
    generation: adapter?.generation ?? null,
    weights: base.manifest.weights,
    endIds: base.manifest.endTokenIds,
  };
}

/** Absent: no tokens are guessed. */
type CommandFlags = EngineFlags & { readonly speculativeTokens?: number; readonly draftDir?: string | null };

/** An engine that is ready. @param contents of the adapters that it serves @throws {AppError} */
export async function startCommandEngine(
  config: CommandFlags,
  base: Base,
  contents: readonly Uint8Array[],
  cleanup: Cleanup,
): Promise<SupervisedEngine> {
  const storeDir = await mkdtemp(join(tmpdir(), "mosara-engine-"));
  cleanup.defer(() => rm(storeDir, { recursive: true, force: true }));
  const store = cleanup.use(await openAdapterStore(storeDir));
  const names = store.namesOf(DEFAULT_TENANT);
  await Promise.all(contents.map((bytes, index) => names.put(`adapter-${index}`, bytes))); // one write to the disk
  const options = engineOptions(config, base.dir, storeDir);
  const { maxPositions } = base.manifest.config;
  const engine: SupervisedEngine = createEngine({
    engine: options,
    maxMerged: 1,
    ...mergePorts({
      base,
      store,
      mergedDir: join(storeDir, "merged"),
      maxAdapterBytes: NO_BOUND,
      maxLen: Math.min(maxPositions, config.maxModelLen ?? maxPositions),
      numThreads: options.numThreads,
      isServed: (generation) => engine.mergedGenerations().has(generation),
    }),
  });
  cleanup.defer(() => engine.stop(0));
  await engine.whenReady();
  return engine;
}

function engineOptions(config: CommandFlags, baseDir: string, storeDir: string): EngineOptions {
  return {
    ...sharedEngineOptions(config, baseDir, storeDir),
    adapterCacheBytes: NO_BOUND,
    maxLiveRank: NO_BOUND,
    maxQueue: NO_BOUND,
    maxQueueTokens: NO_BOUND,
    usesPrefixCache: true,
    maxDraft: config.speculativeTokens ?? 0,
    draftDir: config.draftDir ?? null,
    requiresBatchInvariance: true,
  };
}
