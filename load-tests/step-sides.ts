/**
 * Processes that take training steps of one job in turns, and the figures of each: step, processor time, memory,
 * losses.
 */
import { fileURLToPath } from "node:url";
import type { BenchOptions } from "./options.ts";
import { SMOKE } from "./inputs/random-checkpoint.ts";
import type { StepProcess, StepTurn } from "./processes/step-process.ts";
import type { TrainCase } from "./processes/train-job.ts";
import type { Figure } from "./report/figures.ts";
import type { Variant } from "./rounds.ts";

/** What the first losses may differ by, for the two to be called the same computation. */
const SAME_LOSS = 1e-4;

/** Our trainer. */
export const OURS = fileURLToPath(new URL("processes/train-process.js", import.meta.url));
/** The Python of the peers. */
export const PYTHON = process.env.MOSARA_PYTHON ?? "python3";

/** A peer's script, read where it lies in the sources: the compiler copies no Python. */
export const peerScript = (name: string): string =>
  fileURLToPath(new URL(`../../load-tests/peers/${name}`, import.meta.url));

/** Threads of torch that wait busily take the processors from each other where anything else runs. */
export const PEER_ENVIRONMENT = { OMP_WAIT_POLICY: "PASSIVE" };

/** A case that is tiny, for a look whether everything runs. */
export function smokeCase(one: TrainCase): TrainCase {
  return {
    ...one,
    shape: { ...SMOKE, dtype: "float32", isTied: false },
    batch: 2,
    length: 16,
    adapter: one.adapter && { ...one.adapter, rank: 8 },
  };
}

/** A process, and what its turns took. */
export interface Side {
  readonly name: string;
  readonly process: StepProcess;
  readonly turns: StepTurn[];
}

export const side = (name: string, process: StepProcess): Side => ({ name, process, turns: [] });

/** One turn of the side is one sample. */
export function variantOf({ name, process, turns }: Side, { numSteps }: BenchOptions): Variant {
  return {
    name,
    measure: async () => {
      const turn = await process.take(Math.ceil(numSteps / 3));
      turns.push(turn);
      return turn.seconds;
    },
  };
}

/** How far the losses of the two are apart: at the first step, and at the worst of all. */
export function lossFigures(one: TrainCase, ours: Side, peer: Side): Figure[] {
  const [mine, theirs] = [ours, peer].map(({ turns }) => turns.flatMap(({ losses }) => losses)) as [number[], number[]];
  const millionths = mine.map((loss, i) => 1e6 * Math.abs(loss - (theirs[i] ?? NaN)));
  const figure = (what: string, value: number): Figure => ({
    what: `${one.name}: ${what}`,
    unit: "1e-6",
    samples: [value],
  });
  return [
    { ...figure("first loss, distance of the two", millionths[0] ?? NaN), goal: { atMost: 1e6 * SAME_LOSS } },
    figure(`largest distance of ${mine.length} losses`, Math.max(...millionths)),
  ];
}

/** ms a step. */
export interface Times {
  readonly wall: readonly number[];
  readonly cpu: readonly number[];
}

/** Of the rounds that count. */
export function timesOf({ turns }: Side): Times {
  const counted = turns.slice(1);
  const perStep = (of: (turn: StepTurn) => number): number[] =>
    counted.map((turn) => (1000 * of(turn)) / turn.losses.length);
  return { wall: perStep((turn) => turn.seconds), cpu: perStep((turn) => turn.cpuSeconds) };
}

/** What a step of one side costs. */
export function sideFigures(one: TrainCase, each: Side): Figure[] {
  const { wall, cpu } = timesOf(each);
  const peak = each.turns.at(-1)?.peakBytes ?? NaN;
  const what = (text: string): string => `${one.name}: ${text}, ${each.name}`;
  return [
    { what: what("step"), unit: "ms", samples: wall },
    { what: what("processor time of a step"), unit: "ms", samples: cpu },
    { what: what("peak memory"), unit: "MB", samples: [peak / 1e6] },
  ];
}
