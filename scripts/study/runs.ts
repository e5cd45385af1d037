/** One run of the study: train a setting on a task, then measure it through the serving engine. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { mosaraJson } from "../demo/program.ts";
import type { RunKey, RunResult } from "./results.ts";
import { type Setting, TARGETS } from "./settings.ts";
import type { Task } from "./tasks.ts";

/** Where the study works. */
export interface Place {
  /** Threads of a run. */
  readonly numThreads: number;
  /** The checkpoint that every setting starts from. */
  readonly checkpoint: string;
  /** A folder for bases and adapters. */
  readonly work: string;
}

const BATCH_SIZE = 8;

/** What `mosara train` and `mosara eval` print. */
interface TrainResult {
  readonly numParams: number;
  readonly bytes: number;
  readonly evalLossBase: number;
  readonly evalLoss: number;
  readonly seconds: number;
}
interface EvalResult {
  readonly value: number;
  readonly base?: { readonly value: number } | null;
}

/** Trains and measures. @param threshold the setting's own, or what was found for it */
export async function runSetting(
  place: Place,
  setting: Setting,
  threshold: number | null,
  task: Task,
  key: RunKey,
): Promise<RunResult> {
  const out = adapterPath(place, setting, task.name, key.seed);
  const base = await settingBase(place, setting);
  const threads = ["--threads", `${place.numThreads}`];
  const { steps, seed } = key;
  const schedule = { steps, "eval-every": steps, "batch-size": BATCH_SIZE, seed, lr: setting.rate };
  const files = ["--model", base, "--out", out, "--data", task.trainFile, "--eval", task.lossFile];
  const scheduleFlags = Object.entries(schedule).flatMap(([flag, value]) => [`--${flag}`, `${value}`]);
  const flags = [...scheduleFlags, ...methodFlags(setting, threshold), ...threads];
  const trained = await mosaraJson<TrainResult>(["train", ...files, ...flags]);
  const isFull = setting.method === "full";
  const model = isFull
    ? ["--model", out, "--targets", "none", "--cache", join(place.work, "cache")]
    : ["--model", base, "--adapter", out];
  const { metric, metricFile, maxTokens } = task;
  const data = ["--data", metricFile, "--metric", metric, "--max-tokens", `${maxTokens}`];
  const measured = await mosaraJson<EvalResult>(["eval", ...model, ...data, ...threads]);
  return {
    ...key,
    numParams: trained.numParams,
    bytes: isFull ? null : trained.bytes,
    baseLoss: trained.evalLossBase,
    loss: trained.evalLoss,
    baseScore: isFull ? null : (measured.base?.value ?? null),
    score: measured.value,
    seconds: trained.seconds,
  };
}

/** Where a run leaves its adapter; the checkpoint of a full one is a folder. */
export function adapterPath({ work }: Place, { name, method }: Setting, task: string, seed: number): string {
  const stem = slug(`${task} ${name} ${seed}`);
  mkdirSync(join(work, "adapters"), { recursive: true });
  return join(work, "adapters", method === "full" ? stem : `${stem}.mosara`);
}

/** The base that a setting is trained and served on: what has no basis runs on the default one. */
export async function settingBase(place: Place, { method, targets, threshold }: Setting): Promise<string> {
  return await (method === "mo-sara" && threshold !== null
    ? builtBase(place, targetList(targets), threshold)
    : builtBase(place));
}

const building = new Map<string, Promise<string>>();

/**
 * A base directory of the checkpoint, built once. @param targets as the commands take them; the family's own unless
 * told
 */
export async function builtBase(place: Place, targets?: string, threshold?: number): Promise<string> {
  const out = join(place.work, "bases", slug(`${targets ?? "default"} ${threshold ?? ""}`));
  const started = building.get(out) ?? buildOnce(place.checkpoint, out, targets, threshold);
  building.set(out, started);
  return await started;
}

async function buildOnce(checkpoint: string, out: string, targets?: string, threshold?: number): Promise<string> {
  const flags = [...(targets ? ["--targets", targets] : []), ...(threshold ? ["--threshold", `${threshold}`] : [])];
  if (!existsSync(out)) await mosaraJson(["build", checkpoint, "--out", out, "--weights", "float32", ...flags]);
  return out;
}

/** Names of linear layers as the commands take them. */
export function targetList(targets: string): string {
  return targets in TARGETS ? TARGETS[targets as keyof typeof TARGETS] : targets;
}

const slug = (text: string): string =>
  text
    .trim()
    .replaceAll(/[^A-Za-z0-9.]+/g, "-")
    .toLowerCase();

function methodFlags({ method, targets, heads, rank }: Setting, threshold: number | null): readonly string[] {
  const flags = ["--method", method];
  if (method !== "full") flags.push("--targets", targetList(targets));
  if (method === "sara" && threshold !== null) flags.push("--threshold", `${threshold}`);
  if (heads > 1) flags.push("--heads", `${heads}`);
  if (rank !== null) flags.push("--rank", `${rank}`);
  return flags;
}
