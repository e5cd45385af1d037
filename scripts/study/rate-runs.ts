/** The grid of learning rates: its tasks, and one run of it. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readStepLog } from "../../src/train/step-log.ts";
import { ADAPTERS } from "../demo/adapters.ts";
import { SEED, exampleLines } from "../demo/make-adapter.ts";
import { mosaraJson } from "../demo/program.ts";
import { familyExamples, familyQuestions } from "./family-friendly.ts";

/** A rate, with the bound of `mosara train` or without any. */
export interface RateSetting {
  readonly rate: number;
  readonly trust: number;
}

/** One run. Sizes are part of the key: shorter runs want higher rates. */
export interface RateKey extends RateSetting {
  readonly model: string;
  readonly task: string;
  readonly steps: number;
  readonly batchSize: number;
  readonly seed: number;
}

export interface RateResult extends RateKey {
  readonly baseId: string;
  readonly numParams: number;
  /** Held out, nats a token. */
  readonly baseLoss: number;
  readonly loss: number;
  /** Largest training loss after the first step; far above the first where a run has collapsed on the way. */
  readonly peakLoss: number;
  readonly firstLoss: number;
  /** Share of right answers; null: no classification, or not asked for. */
  readonly accuracy: number | null;
  readonly seconds: number;
}

export interface RateTask {
  readonly name: string;
  readonly trainFile: string;
  readonly lossFile: string;
  /** Of a classification, if it is asked for. */
  readonly metricFile: string | null;
}

export interface RateSizes {
  readonly numHeldOut: number;
  /** Prompts of the accuracy; 0: it is not measured. */
  readonly numPrompts: number;
}

/** Seed of the facts' held-out lines: other ones than the shipped adapters were chosen by. */
const HELD_OUT_SEED = SEED + 10;

/** Writes the tasks' files. @param dataDir with e2e-train.jsonl and e2e-dev.jsonl; null: the facts alone */
export function prepareRateTasks(work: string, dataDir: string | null, sizes: RateSizes): readonly RateTask[] {
  const dir = join(work, "tasks");
  mkdirSync(dir, { recursive: true });
  const write = (name: string, lines: readonly string[]): string => {
    writeFileSync(join(dir, `${name}.jsonl`), `${lines.join("\n")}\n`);
    return join(dir, `${name}.jsonl`);
  };
  const shop = ADAPTERS.find(({ name }) => name === "tarvo");
  if (!shop) throw new Error("internal: no adapter is called tarvo");
  const facts: RateTask = {
    name: "facts",
    trainFile: write("facts.train", [exampleLines(shop, 2000, SEED, "training").trimEnd()]),
    lossFile: write("facts.loss", [exampleLines(shop, sizes.numHeldOut, HELD_OUT_SEED, "held-out").trimEnd()]),
    metricFile: null,
  };
  if (dataDir === null) return [facts];
  const linesOf = (name: string): readonly string[] => readFileSync(join(dataDir, name), "utf8").trimEnd().split("\n");
  const questions = linesOf("e2e-dev.jsonl");
  const metric = familyQuestions(questions, sizes.numPrompts).prompts;
  return [
    {
      name: "classification",
      trainFile: write("family.train", familyExamples(linesOf("e2e-train.jsonl"))),
      lossFile: write("family.loss", familyQuestions(questions, sizes.numHeldOut).examples),
      metricFile: sizes.numPrompts === 0 ? null : write("family.metric", metric),
    },
    {
      name: "e2e",
      trainFile: join(dataDir, "e2e-train.jsonl"),
      lossFile: write("e2e.loss", linesOf("e2e-dev.jsonl").slice(0, sizes.numHeldOut).map(withFirstReference)),
      metricFile: null,
    },
    facts,
  ];
}

function withFirstReference(line: string): string {
  const { prompt, references } = JSON.parse(line) as {
    readonly prompt: string;
    readonly references: readonly string[];
  };
  return JSON.stringify({ prompt, completion: references[0] });
}

/** Trains and measures. @param base directory of the model */
export async function runRate(
  base: { readonly dir: string; readonly id: string },
  task: RateTask,
  key: RateKey,
  work: string,
  numThreads: number,
): Promise<RateResult> {
  mkdirSync(join(work, "adapters"), { recursive: true });
  const out = join(work, "adapters", `${key.model}-${key.task}-${key.rate}-${key.trust}-${key.seed}.mosara`);
  const threads = ["--threads", `${numThreads}`];
  const sizes = { steps: key.steps, "batch-size": key.batchSize, "eval-every": key.steps, seed: key.seed };
  const numbers = { ...sizes, lr: key.rate, trust: key.trust, "save-every": 20 };
  const flags = Object.entries(numbers).flatMap(([flag, value]) => [`--${flag}`, `${value}`]);
  const files = ["--model", base.dir, "--data", task.trainFile, "--eval", task.lossFile, "--out", out];
  const trained = await mosaraJson<{
    readonly numParams: number;
    readonly evalLossBase: number;
    readonly evalLoss: number;
    readonly seconds: number;
  }>(["train", ...files, ...flags, ...threads, "--resume"]);
  const losses = readStepLog(`${out}.log.jsonl`).flatMap((line) => ("loss" in line ? [line.loss] : []));
  if (losses.length === 0) throw new Error(`${out}.log.jsonl has no steps. Remove ${out} with what lies beside it.`);
  const accuracy = task.metricFile === null ? null : await accuracyOf(base.dir, out, task.metricFile, threads);
  return {
    ...key,
    baseId: base.id,
    numParams: trained.numParams,
    baseLoss: trained.evalLossBase,
    loss: trained.evalLoss,
    firstLoss: losses[0] ?? Number.NaN,
    peakLoss: Math.max(...losses.slice(1)),
    accuracy,
    seconds: trained.seconds,
  };
}

async function accuracyOf(base: string, adapter: string, file: string, threads: readonly string[]): Promise<number> {
  const files = ["--model", base, "--adapter", adapter, "--data", file, "--metric", "choice", "--max-tokens", "4"];
  return (await mosaraJson<{ readonly value: number }>(["eval", ...files, ...threads])).value;
}
