/**
 * The tasks of the study: training examples, held-out examples for the loss and prompts for the metric, cut to a size
 * that makes a run short. They are some of the shipped adapters' own, and E2E from the folder that MOSARA_DATA names.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ADAPTERS, METRIC } from "../demo/adapters.ts";
import { SEED, exampleLines } from "../demo/make-adapter.ts";

/** One task, its files written where the runs read them. */
export interface Task {
  readonly name: string;
  /** As `mosara eval` takes it. */
  readonly metric: string;
  readonly maxTokens: number;
  /** JSON lines with examples. */
  readonly trainFile: string;
  /** Held-out examples for the loss. */
  readonly lossFile: string;
  /** Held-out prompts for the metric. */
  readonly metricFile: string;
}

/** Which tasks are used, beside E2E, and how much of each. */
export interface TaskSizes {
  /** Names of shipped adapters. */
  readonly demoTasks: readonly string[];
  readonly numTraining: number;
  /** Held-out examples of the loss. */
  readonly numLoss: number;
  /** Held-out prompts of the metric. */
  readonly numPrompts: number;
}

/**
 * Facts that the base cannot know, text from slots, sums with their steps. (A voice that the base knows tells nothing:
 * every method learns it whole.) Losses of 128 examples are steady to a hundredth.
 */
export const STUDY_SIZES: TaskSizes = {
  demoTasks: ["tarvo", "restaurants", "steps"],
  numTraining: 2000,
  numLoss: 128,
  numPrompts: 100,
};
/** Held-out examples come from another stream than those that trained adapters were chosen by. */
const HELD_OUT_SEED = SEED + 10;

/** Writes the tasks' files into `work`; without E2E, with a notice, where its files are not given. */
export function prepareTasks(work: string, sizes: TaskSizes): readonly Task[] {
  const dir = join(work, "tasks");
  mkdirSync(dir, { recursive: true });
  return [...sizes.demoTasks.map((name) => demoTask(name, dir, sizes)), ...e2eTask(dir, sizes)];
}

function demoTask(name: string, dir: string, { numTraining, numLoss, numPrompts }: TaskSizes): Task {
  const adapter = ADAPTERS.find((one) => one.name === name);
  if (!adapter) throw new Error(`internal: no adapter is called ${name}`);
  const heldOut = exampleLines(adapter, numLoss + numPrompts, HELD_OUT_SEED, "held-out")
    .trimEnd()
    .split("\n");
  return {
    name,
    metric: METRIC,
    maxTokens: 120,
    trainFile: write(dir, `${name}.train`, [exampleLines(adapter, numTraining, SEED, "training").trimEnd()]),
    lossFile: write(dir, `${name}.loss`, heldOut.slice(0, numLoss)),
    metricFile: write(dir, `${name}.metric`, heldOut.slice(numLoss)),
  };
}

function e2eTask(dir: string, { numLoss, numPrompts }: TaskSizes): readonly Task[] {
  const { MOSARA_DATA: dataDir } = process.env;
  if (!dataDir || !existsSync(join(dataDir, "e2e-train.jsonl"))) {
    process.stderr.write("study: without E2E; MOSARA_DATA names no folder with e2e-train.jsonl and e2e-dev.jsonl\n");
    return [];
  }
  const heldOut = readFileSync(join(dataDir, "e2e-dev.jsonl"), "utf8").trimEnd().split("\n");
  return [
    {
      name: "e2e",
      metric: "bleu",
      maxTokens: 100,
      trainFile: join(dataDir, "e2e-train.jsonl"),
      lossFile: write(dir, "e2e.loss", heldOut.slice(0, numLoss).map(withFirstReference)),
      metricFile: write(dir, "e2e.metric", heldOut.slice(0, numPrompts)),
    },
  ];
}

/** An example that has a loss: the first of several references is its completion. */
function withFirstReference(line: string): string {
  const { prompt, references } = JSON.parse(line) as {
    readonly prompt: string;
    readonly references: readonly string[];
  };
  return JSON.stringify({ prompt, completion: references[0] });
}

function write(dir: string, name: string, lines: readonly string[]): string {
  const path = join(dir, `${name}.jsonl`);
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}
