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
  /** Of the bases, as `mosara build` takes them. */
  readonly weights: "float32" | "auto";
  /** Examples in a step. */
  readonly batchSize: number;
}

/** What `mosara train` and `mosara eval` print. */
export interface TrainResult {
  readonly numParams: number;
  readonly bytes: number;
  readonly evalLossBase: number;
  readonly evalLoss: number;
  readonly seconds: number;
}
interface EvalResult {
  readonly value: number;
  /** 95 %, of `value`. */
  readonly interval: readonly [low: number, high: number];
  readonly count: number;
  readonly base: { readonly value: number };
}

/** A metric on held-out prompts. */
export interface Measure {
  /** As `mosara eval` takes it. */
  readonly metric: string;
  readonly maxTokens: number;
  readonly metricFile: string;
}

/** Trains and measures. @param threshold the setting's own, or what was found for it */
export async function runSetting(
  place: Place,
  setting: Setting,
  threshold: number | null,
  task: Task,
  key: RunKey,
): Promise<RunResult> {
  const trained = await trainSetting(place, setting, threshold, task, key);
  const measured = await measure(place, setting, trained.out, task);
  const isFull = setting.method === "full";
  return {
    ...key,
    numParams: trained.numParams,
    bytes: isFull ? null : trained.bytes,
    baseLoss: trained.evalLossBase,
    loss: trained.evalLoss,
    baseScore: isFull ? null : measured.base.value,
    score: measured.value,
    seconds: trained.seconds,
  };
}

/** Trains, and evaluates the loss of the base and of the result. */
export async function trainSetting(
  place: Place,
  setting: Setting,
  threshold: number | null,
  task: Pick<Task, "name" | "trainFile" | "lossFile">,
  { steps, seed }: Pick<RunKey, "steps" | "seed">,
): Promise<TrainResult & { readonly out: string }> {
  const out = adapterPath(place, setting, task.name, seed);
  const base = await settingBase(place, setting);
  const files = ["--model", base, "--out", out, "--data", task.trainFile, "--eval", task.lossFile];
  const schedule = { steps, "eval-every": steps, "batch-size": place.batchSize, seed };
  const scheduleFlags = Object.entries(schedule).flatMap(([flag, value]) => [`--${flag}`, `${value}`]);
  const rate = setting.rate === null ? [] : ["--lr", `${setting.rate}`];
  const flags = [...scheduleFlags, ...rate, ...methodFlags(setting, threshold), ...threadFlags(place)];
  return { ...(await mosaraJson<TrainResult>(["train", ...files, ...flags])), out };
}

/** Measures what a run left at `out`, and the base beside it. */
export async function measure(place: Place, setting: Setting, out: string, of: Measure): Promise<EvalResult> {
  const model =
    setting.method === "full"
      ? ["--model", out, "--targets", "none", "--cache", join(place.work, "cache")]
      : ["--model", await settingBase(place, setting), "--adapter", out];
  const data = ["--data", of.metricFile, "--metric", of.metric, "--max-tokens", `${of.maxTokens}`];
  return await mosaraJson<EvalResult>(["eval", ...model, ...data, ...threadFlags(place)]);
}

const threadFlags = ({ numThreads }: Place): readonly string[] => ["--threads", `${numThreads}`];

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
  const started = building.get(out) ?? buildOnce(place, out, targets, threshold);
  building.set(out, started);
  return await started;
}

async function buildOnce(
  { checkpoint, weights }: Place,
  out: string,
  targets?: string,
  threshold?: number,
): Promise<string> {
  const flags = [...(targets ? ["--targets", targets] : []), ...(threshold ? ["--threshold", `${threshold}`] : [])];
  if (!existsSync(out)) await mosaraJson(["build", checkpoint, "--out", out, "--weights", weights, ...flags]);
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
  if (targets === "default") return [];
  const flags = ["--method", method];
  if (method !== "full") flags.push("--targets", targetList(targets));
  if (method === "sara" && threshold !== null) flags.push("--threshold", `${threshold}`);
  if (heads > 1) flags.push("--heads", `${heads}`);
  if (rank !== null) flags.push("--rank", `${rank}`);
  return flags;
}
