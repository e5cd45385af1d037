/** One run of the study on real models: train a setting on a group of sets, then measure it on each of them. */
import { openBase } from "../../../src/base/base.ts";
import { readStepLog } from "../../../src/train/step-log.ts";
import { thresholdOfSize } from "../equal-size.ts";
import { type Place, builtBase, measure, targetList, trainSetting } from "../runs.ts";
import type { Setting } from "../settings.ts";
import type { RealTask } from "./tasks.ts";

/** What makes a run the run it is. */
export interface RealKey {
  readonly model: string;
  readonly task: string;
  readonly setting: string;
  readonly steps: number;
  readonly batchSize: number;
  readonly seed: number;
}

export interface RealResult extends RealKey {
  /** Of the base with the default targets. */
  readonly baseId: string;
  readonly parameters: number;
  /** Trained numbers, and the adapter's bytes as a file. */
  readonly numParams: number;
  readonly bytes: number;
  /** Held out, nats a token of the answers. */
  readonly baseLoss: number;
  readonly loss: number;
  /** Training losses of the first step, and the largest after it. */
  readonly firstLoss: number;
  readonly peakLoss: number;
  readonly scores: readonly SetScore[];
  /** Training with its two evaluations of the loss. */
  readonly seconds: number;
}

/** BLEU (0 to 100), or the share of right answers. */
export interface SetScore {
  readonly set: string;
  readonly metric: string;
  readonly count: number;
  readonly base: number;
  readonly value: number;
  /** 95 %, over the examples. */
  readonly interval: readonly [low: number, high: number];
}

/** Trains and measures. */
export async function runReal(place: Place, setting: Setting, task: RealTask, key: RealKey): Promise<RealResult> {
  await using base = await openBase(await builtBase(place));
  const { baseId, parameters } = base.manifest;
  const trained = await trainSetting(place, setting, await thresholdOf(place, setting), task, key);
  const losses = readStepLog(`${trained.out}.log.jsonl`).flatMap((line) => ("loss" in line ? [line.loss] : []));
  const scores: SetScore[] = [];
  for (const set of task.sets) {
    const { count, base: baseScore, value, interval } = await measure(place, setting, trained.out, set);
    scores.push({ set: set.name, metric: set.metric, count, base: baseScore.value, value, interval });
  }
  return {
    ...key,
    baseId,
    parameters,
    numParams: trained.numParams,
    bytes: trained.bytes,
    baseLoss: trained.evalLossBase,
    loss: trained.evalLoss,
    firstLoss: losses[0] ?? Number.NaN,
    peakLoss: Math.max(...losses.slice(1)),
    scores,
    seconds: trained.seconds,
  };
}

async function thresholdOf(place: Place, { threshold, equalTo, targets }: Setting): Promise<number | null> {
  if (equalTo === null) return threshold;
  return await thresholdOfSize(await builtBase(place, targetList(targets), 1), equalTo);
}
