/**
 * Learning a form from rewards alone: the demo answers word problems with a number, and only numbers in round tens get
 * a reward. No example shows that form. Adapters of thousands, hundreds and tens of numbers learn it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readStepLog } from "../../src/train/step-log.ts";
import { Draw, type Split, withoutSeams } from "../corpus/draw.ts";
import { problem, problemText } from "../corpus/sums.ts";
import { SEED } from "../demo/make-adapter.ts";
import { mosaraJson } from "../demo/program.ts";

/** The linears that an adapter is on, by the number of numbers that this leaves. */
const REWARD_TARGETS = {
  "the base's targets": null,
  "o and down of the first layer": "layers.0.self_attn.o_proj,layers.0.mlp.down_proj",
  "v of the first layer": "layers.0.self_attn.v_proj",
} as const;
type TargetsName = keyof typeof REWARD_TARGETS;

/** What is run. 0.05 is the trainer's own rate for rewards; fewer numbers need larger steps. */
export const REWARD_SETTINGS: readonly Pick<RewardKey, "targets" | "rate">[] = [
  { targets: "the base's targets", rate: 0.05 },
  { targets: "o and down of the first layer", rate: 0.05 },
  { targets: "o and down of the first layer", rate: 0.4 },
  { targets: "v of the first layer", rate: 0.05 },
  { targets: "v of the first layer", rate: 0.4 },
];

/** What makes a run the run it is. */
export interface RewardKey {
  readonly targets: TargetsName;
  readonly rate: number;
  readonly steps: number;
  readonly seed: number;
}

export interface RewardResult extends RewardKey {
  readonly numParams: number;
  /** Mean reward of the likeliest answers to held-out problems, after so many steps. */
  readonly curve: readonly (readonly [step: number, reward: number])[];
  /** Largest difference between a token's log-probabilities in the sampler and in the trainer. */
  readonly largestDifference: number;
  readonly seconds: number;
}

const NUM_TRAINING = 300;
const NUM_HELD_OUT = 60;
const STEPS_BETWEEN_EVALUATIONS = 2;
const SIZES = { "batch-size": 8, "group-size": 8, "max-answer-tokens": 24 };

/** An answer in round tens: the number's last digit is 0, and the goods follow. */
const GRADER = {
  type: "string_check",
  name: "tens",
  operation: "like",
  input: "{{ sample.output_text }}",
  reference: "0 ",
};

/** Trains and reads the curve. @param work folder of the data, the adapters and their logs */
export async function runRewards(model: string, key: RewardKey, work: string, threads: number): Promise<RewardResult> {
  mkdirSync(work, { recursive: true });
  const write = (name: string, text: string): string => {
    writeFileSync(join(work, name), text);
    return join(work, name);
  };
  const targets = REWARD_TARGETS[key.targets];
  const out = join(work, `${key.targets.replaceAll(/[^a-z]+/g, "-")}-${key.rate}-${key.steps}-${key.seed}.mosara`);
  const files = {
    data: write("problems.jsonl", problems(NUM_TRAINING, "training")),
    eval: write("held-out.jsonl", problems(NUM_HELD_OUT, "held-out")),
    grader: write("tens.json", JSON.stringify(GRADER)),
  };
  const numbers = { steps: key.steps, "eval-every": STEPS_BETWEEN_EVALUATIONS, lr: key.rate, seed: key.seed, threads };
  const flags = Object.entries({ model, objective: "reward", out, ...files, ...SIZES, ...numbers }).flatMap(
    ([flag, value]) => [`--${flag}`, `${value}`],
  );
  const trained = await mosaraJson<{ readonly numParams: number; readonly seconds: number }>([
    "train",
    ...flags,
    ...(targets === null ? [] : ["--targets", targets]),
  ]);
  const log = readStepLog(`${out}.log.jsonl`);
  return {
    ...key,
    numParams: trained.numParams,
    curve: log.flatMap((line) => ("evalLoss" in line ? [[line.step, line.reward ?? Number.NaN] as const] : [])),
    largestDifference: Math.max(...log.map((line) => line["sampling/sampling_logp_difference/max"] ?? 0)),
    seconds: trained.seconds,
  };
}

/** Word problems of one step as JSON lines; the split keeps names and sums apart. */
function problems(count: number, split: Split): string {
  const draw = new Draw(SEED, split);
  const line = (): string => {
    const content = withoutSeams(problemText(draw, problem(draw, 1)));
    return `${JSON.stringify({ messages: [{ role: "user", content }] })}\n`;
  };
  return Array.from({ length: count }, line).join("");
}
