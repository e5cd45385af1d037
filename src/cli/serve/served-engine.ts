/** The engine of a server: its options from the flags, and merged engines beside it with weights below --data. */
import { rm } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Base } from "../../base/base.ts";
import type { ConfigOf } from "../../config/commands.ts";
import type { EngineOptions } from "../../engine/protocol.ts";
import type { EngineProcesses } from "../../engine/server/engine-processes.ts";
import { createEngine, type SupervisedEngine } from "../../engine/server/supervisor.ts";
import { mergePorts } from "../../placement/merge-ports.ts";
import type { AdapterStore } from "../../store/adapter-store.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { type AnswerEnvironment, answerEnvironment } from "../shared/answer-environment.ts";
import { numThreadsOf, sharedEngineOptions } from "../shared/engine-options.ts";
import type { ResolvedDraft } from "../shared/resolve-draft.ts";

type ServeConfig = ConfigOf<"serve">;

interface EngineParts {
  readonly base: Base;
  readonly store: AdapterStore;
  readonly log: Logger;
  readonly storeDir: string;
  /** null: there is no draft model. */
  readonly draft: ResolvedDraft | null;
  readonly processes: EngineProcesses;
}

/** In the data directory. */
const SELF_TESTS_DIR = "self-tests";

/**
 * Starts the engine. Cleaning up stops it, and removes merged weights. @returns it, and what decides the bits of its
 * answers
 */
export async function openServedEngine(
  config: ServeConfig,
  { base, store, log, storeDir, draft, processes }: EngineParts,
  cleanup: Cleanup,
): Promise<{ readonly engine: SupervisedEngine; readonly environment: AnswerEnvironment }> {
  const { device } = config;
  const environment = await answerEnvironment(base.manifest, { device, numThreads: numThreadsOf(config) });
  const options = engineOptions(config, { base, storeDir, draft }, environment);
  const { maxPositions } = base.manifest.config;
  const mergedDir = join(storeDir, "merged");
  const engine: SupervisedEngine = createEngine({
    engine: options,
    maxMerged: config.maxMerged,
    processes,
    ...mergePorts({
      base,
      store,
      mergedDir,
      maxAdapterBytes: config.maxAdapterBytes,
      maxLen: Math.min(maxPositions, config.maxModelLen ?? maxPositions),
      numThreads: options.numThreads,
      isServed: (generation) => engine.mergedGenerations().has(generation),
    }),
  });
  cleanup.defer(() => rm(mergedDir, { recursive: true, force: true }));
  store.contents.onDropped((generation) => {
    rm(join(mergedDir, generation), { recursive: true, force: true }).catch((error: unknown) =>
      log.error({ err: error, generation }, "the merged weights of a deleted adapter could not be removed"),
    );
  });
  cleanup.defer(() => engine.stop(0));
  return { engine, environment };
}

function engineOptions(
  config: ServeConfig,
  { base, storeDir, draft }: Pick<EngineParts, "base" | "storeDir" | "draft">,
  environment: AnswerEnvironment,
): EngineOptions {
  return {
    ...sharedEngineOptions(config, base.dir, storeDir),
    adapterCacheBytes: config.adapterCacheBytes,
    maxLiveRank: config.maxLiveRank,
    maxQueue: config.maxQueue,
    maxQueueTokens: config.maxQueueTokens,
    usesPrefixCache: !config.noPrefixCache,
    maxDraft: config.speculativeTokens,
    draftDir: draft?.dir ?? null,
    requiresBatchInvariance: !config.noBatchInvariance,
    selfTests: { dir: join(storeDir, SELF_TESTS_DIR), environment: machineOf(environment) },
  };
}

/** The program and the machine, on which the result of a self-test depends. */
function machineOf({ program, machine }: AnswerEnvironment): string {
  return JSON.stringify([program, machine, cpus().map(({ model }) => model)]);
}
