/** Opens the training jobs of a server: their store in --data, and the runner that starts trainers. */
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { decodeAdapter } from "../../adapter/adapter-file.ts";
import { type BaseSignature, assertFits } from "../../adapter/adapter.ts";
import type { ConfigOf } from "../../config/commands.ts";
import { parseCommand } from "../../config/parse.ts";
import { writerOf } from "../../http/adapters/shared-names.ts";
import { notePut } from "../../http/adapters/change-adapter.ts";
import type { Training } from "../../http/fine-tuning/training.ts";
import { JobRunner } from "../../jobs/job-runner.ts";
import { JobStore } from "../../jobs/job-store.ts";
import type { JobRecord } from "../../jobs/records.ts";
import type { Placements } from "../../placement/placements.ts";
import { entryUrl } from "../../program-files.ts";
import type { AdapterStore } from "../../store/adapter-store.ts";
import type { SharedStore } from "../../store/published/shared-store.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { defaultRate, methodFlags } from "../train/flags.ts";

const ENTRY = entryUrl("cli/train/job-process");

interface Parts {
  readonly store: AdapterStore;
  readonly sharedStore: SharedStore | null;
  readonly placements: Placements;
  readonly log: Logger;
  readonly signature: BaseSignature;
  readonly baseDir: string;
  readonly storeDir: string;
}

/** @returns null where --max-training-jobs is 0 */
export async function openTraining(
  config: Pick<ConfigOf<"serve">, "maxTrainingJobs" | "trainingThreads" | "trainingNice" | "maxAdapterBytes">,
  parts: Parts,
  cleanup: Cleanup,
): Promise<Training | null> {
  if (config.maxTrainingJobs === 0) return null;
  const store = cleanup.use(await JobStore.open(join(parts.storeDir, "training")));
  const numThreads = config.trainingThreads ?? Math.max(1, Math.floor(availableParallelism() / 2));
  const runner = new JobRunner(
    {
      store,
      log: parts.log,
      program: { entry: ENTRY, nice: config.trainingNice },
      place: { baseDir: resolve(parts.baseDir), numThreads, defaultRate },
      check: (args) => void methodFlags(parseCommand("train", args, {})),
      publish: (job, name, file) => publish(job, { name, file }, parts, config.maxAdapterBytes),
    },
    config.maxTrainingJobs,
  );
  cleanup.use(runner);
  return { store, runner };
}

/** @throws {AppError} adapter_invalid, adapter_incompatible, adapter_too_large, quota_exceeded. */
async function publish(
  { tenant, quota }: JobRecord,
  { name, file }: { readonly name: string; readonly file: Uint8Array },
  { store, sharedStore, placements, log, signature }: Parts,
  maxBytes: number,
): Promise<void> {
  const adapter = decodeAdapter(file, { maxBytes });
  assertFits(adapter, signature);
  const result = await writerOf({ store, sharedStore }, tenant, quota).put(name, { bytes: file, adapter });
  notePut({ placements, log }, result, { source: "job", tenant });
}
