/**
 * One shipped adapter: its data from a seed, its training, its score on held-out requests, and the file whose card says
 * so.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeAdapter, encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { Draw, type Split, withoutSeams } from "../corpus/draw.ts";
import { type DemoAdapter, METRIC } from "./adapters.ts";
import { MAIN, mosaraJson, runProgram } from "./program.ts";

/** Held-out examples that training looks at to keep its best state; others than those that are measured. */
const NUM_WATCHED = 60;
/** Of an adapter's training examples; those that are watched and measured have the next two. */
export const SEED = 20;

export interface MakeOptions {
  readonly base: string;
  /** Directory of the shipped files. */
  readonly out: string;
  /** Directory of data, logs and reports. */
  readonly work: string;
  readonly steps: number;
  /** Training examples. */
  readonly numTraining: number;
  /** Requests that it is measured on. */
  readonly numHeldOut: number;
}

interface EvalResult {
  readonly value: number;
  readonly interval: readonly [number, number];
  readonly count: number;
  readonly base: { readonly value: number; readonly interval: readonly [number, number] };
}

/** JSON lines of an adapter's examples. @param seed says which, with the split */
export function exampleLines({ make }: Pick<DemoAdapter, "make">, count: number, seed: number, split: Split): string {
  const draw = new Draw(seed, split);
  const lines = Array.from({ length: count }, () => {
    const { request, answer } = make(draw);
    const messages = [
      { role: "user", content: request },
      { role: "assistant", content: answer },
    ];
    return `${withoutSeams(JSON.stringify({ messages }))}\n`;
  });
  return lines.join("");
}

/** Trains, measures and writes the adapter, as far as that is not done. @returns the scores without and with it */
export async function makeAdapter(
  adapter: DemoAdapter,
  options: MakeOptions,
): Promise<{ readonly base: number; readonly adapter: number }> {
  const { name } = adapter;
  const file = (suffix: string): string => join(options.work, `${name}${suffix}`);
  writeFileSync(file(".train.jsonl"), exampleLines(adapter, options.numTraining, SEED, "training"));
  writeFileSync(file(".watch.jsonl"), exampleLines(adapter, NUM_WATCHED, SEED + 1, "held-out"));
  writeFileSync(file(".held-out.jsonl"), exampleLines(adapter, options.numHeldOut, SEED + 2, "held-out"));
  const trained = file(".mosara");
  if (!existsSync(trained)) train(adapter, options, file);
  const scores = file(".scores.json");
  if (!existsSync(scores)) writeFileSync(scores, JSON.stringify(await measure(options, file)));
  const score = JSON.parse(readFileSync(scores, "utf8")) as EvalResult;
  const read = decodeAdapter(readFileSync(trained));
  const card = {
    about: adapter.about,
    madeBy: "scripts/train-demo-adapters.ts",
    heldOut: {
      metric: METRIC,
      examples: score.count,
      base: score.base.value,
      baseInterval: [...score.base.interval],
      adapter: score.value,
      adapterInterval: [...score.interval],
    },
    ...read.card,
  };
  writeFileSync(join(options.out, `${name}.mosara`), encodeAdapter({ ...read, card }));
  return { base: score.base.value, adapter: score.value };
}

type FileOf = (suffix: string) => string;

function train({ method, flags, effort }: DemoAdapter, { base, steps }: MakeOptions, file: FileOf): void {
  const data = ["--data", file(".train.jsonl"), "--eval", file(".watch.jsonl")];
  const size = ["--steps", `${steps * effort}`, "--batch-size", "16", "--save-every", "50", "--seed", "1"];
  const out = ["--report", file(".html"), "--out", file(".mosara"), "--resume"];
  runProgram(MAIN, ["train", "--model", base, "--method", method, ...flags, ...data, ...size, ...out]);
}

async function measure({ base }: MakeOptions, file: FileOf): Promise<EvalResult> {
  const what = ["--model", base, "--adapter", file(".mosara"), "--data", file(".held-out.jsonl"), "--metric", METRIC];
  return await mosaraJson(["eval", ...what, "--max-tokens", "120", "--predictions", file(".predictions.jsonl")]);
}
