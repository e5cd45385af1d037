/**
 * `<out>.checkpoint`: everything that a run needs to resume, in one safetensors file that is replaced atomically.
 * It holds the trained values, the optimiser's moments, the best state so far, the run's progress, and its settings.
 */
import { existsSync } from "node:fs";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import { type HostTensor, hostTensor } from "../tensor/host-tensor.ts";
import type { RunState } from "./run-state.ts";
import { REWARD_NAMES } from "./step-log.ts";
import type { Trainer } from "./trainer.ts";

/** The settings that decide the result of a run, by their names in messages. Equal settings give equal bytes. */
export type RunSettings = Readonly<Record<string, string | number | boolean | null>>;

/** Settings that may change the last bits of results. */
export interface Surroundings {
  readonly cpu: string;
  readonly device: string;
  readonly threads: number;
}

export interface SavedRun {
  readonly settings: RunSettings;
  readonly surroundings: Surroundings;
  readonly state: RunState;
  readonly values: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
  readonly bestValues: Float32Array | null;
  /** Preferences: the reference's log-probabilities of all pairs; otherwise null. */
  readonly references: Float32Array | null;
}

const FORMAT = "mosara-training-1";

const setting = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const measuresSchema = z.partialRecord(z.enum(REWARD_NAMES), z.number());
const headSchema = z.object({
  settings: z.record(z.string(), setting),
  surroundings: z.object({ cpu: z.string(), device: z.string(), threads: z.number() }),
  state: z.object({
    step: z.number().int().nonnegative(),
    isStopped: z.boolean(),
    baseLoss: z.number().nullable(),
    best: z.object({ step: z.number(), evalLoss: z.number(), measures: measuresSchema.exactOptional() }).nullable(),
    numWorse: z.number(),
    calm: z.object({ step: z.number(), loss: z.number() }).nullable().default(null),
    firstLoss: z.number().nullable(),
    recentLosses: z.array(z.number()),
    lowestLoss: z.number().nullable().default(null),
    logBytes: z.number().int().nonnegative(),
  }),
});

/** Writes the checkpoint. The previous one stays until the new one is complete. @throws {AppError} training_failed */
export async function saveCheckpoint(
  path: string,
  trainer: Trainer,
  settings: RunSettings,
  surroundings: Surroundings,
  references: Float32Array | null,
): Promise<void> {
  const { values } = trainer.model.parameters;
  const tensors = new Map<string, Float32Array>([
    ["values", values],
    ["first", trainer.optimizer.first],
    ["second", trainer.optimizer.second],
  ]);
  if (trainer.bestValues) tensors.set("best", trainer.bestValues);
  if (references) tensors.set("references", references);
  const specs = Array.from(tensors, ([name, { length }]) => ({ name, dtype: "float32" as const, shape: [length] }));
  const load = async (name: string): Promise<HostTensor> => {
    const data = tensors.get(name)!; // a spec's name
    return hostTensor("float32", [data.length], data);
  };
  const head = JSON.stringify({ settings, surroundings, state: trainer.state });
  try {
    await writeSafetensors(path, specs, load, { format: FORMAT, run: head });
  } catch (cause) {
    throw new AppError(
      "training_failed",
      `${path} could not be written: ${(cause as Error).message}. The previous checkpoint is intact. Make room and continue with --resume.`,
      { cause },
    );
  }
}

/** The saved run, or null where none exists. @throws {AppError} training_failed for a file that is not a checkpoint */
export async function readCheckpoint(path: string): Promise<SavedRun | null> {
  if (!existsSync(path)) return null;
  try {
    await using file = await openSafetensors(path);
    if (file.metadata.format !== FORMAT) throw new Error(`its format is ${file.metadata.format ?? "unknown"}`);
    const head = headSchema.parse(JSON.parse(file.metadata.run ?? ""));
    const read = async (name: string) => (await file.read(name)).data as Float32Array;
    const [values, first, second] = [await read("values"), await read("first"), await read("second")];
    const readIfAny = async (name: string) => (file.tensors.has(name) ? await read(name) : null);
    const [bestValues, references] = [await readIfAny("best"), await readIfAny("references")];
    return { ...head, values, first, second, bestValues, references };
  } catch (cause) {
    throw new AppError(
      "training_failed",
      `${path} is not a checkpoint that training can resume from: ${(cause as Error).message}. Start again without --resume.`,
      { cause },
    );
  }
}

/** @throws {AppError} usage where the saved run has other settings, naming them */
export function assertSameRun(saved: SavedRun, settings: RunSettings, path: string): void {
  const names = [...new Set([...Object.keys(saved.settings), ...Object.keys(settings)])];
  const different = names.filter((name) => saved.settings[name] !== settings[name]);
  if (different.length === 0) return;
  const list = different.map((name) => `${name} was ${shown(saved.settings[name])}, is ${shown(settings[name])}`);
  throw new AppError(
    "usage",
    `${path} belongs to another run: ${list.join("; ")}. Use the same flags and data, or start again without --resume.`,
  );
}

/** Restores a trainer to the state of the saved run. */
export function restore(trainer: Trainer, saved: SavedRun): void {
  const { parameters } = trainer.model;
  parameters.values.set(saved.values);
  trainer.optimizer.first.set(saved.first);
  trainer.optimizer.second.set(saved.second);
  trainer.bestValues = saved.bestValues;
  trainer.state = saved.state;
}

/** A setting for a message; hashes are shortened. */
function shown(value: string | number | boolean | null | undefined): string {
  if (value === undefined) return "not given";
  return typeof value === "string" && value.length > 40 ? `${value.slice(0, 12)}…` : String(value);
}
