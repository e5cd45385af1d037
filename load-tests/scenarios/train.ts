/**
 * A training step of ours compared with PyTorch's on the same model, batch and threads, each in a process of its own,
 * in turns: an adapter on a frozen base (M) and a whole small model (S). Without a Python that has torch, only our side
 * is measured.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { BenchOptions } from "../options.ts";
import { SMOKE } from "../inputs/random-checkpoint.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { StepProcess, type StepTurn } from "../processes/step-process.ts";
import { type TrainCase, writeJob } from "../processes/train-job.ts";

const M: TrainCase = {
  name: "adapter (M)",
  shape: {
    layers: 8,
    hidden: 512,
    heads: 8,
    kvHeads: 4,
    ffn: 1408,
    vocab: 8192,
    isTied: false,
    dtype: "float32",
    seed: 1,
  },
  batch: 4,
  length: 128,
  lossShare: 0.5,
  adapterRank: 64,
  learningRate: 5e-3,
};

const S: TrainCase = {
  name: "pretraining (S)",
  shape: { ...M.shape, layers: 6, hidden: 256, heads: 4, kvHeads: 2, ffn: 704, vocab: 2048 },
  batch: 16,
  length: 128,
  lossShare: 1,
  adapterRank: null,
  learningRate: 1e-3,
};

const GOALS = new Map([
  [M.name, 0.9],
  [S.name, 1],
]);
/** What the first losses may differ by, for the two to be called the same computation. */
const SAME_LOSS = 1e-4;

const OURS = fileURLToPath(new URL("../processes/train-process.js", import.meta.url));
// Read where it lies in the sources: the compiler copies no Python.
const PEER = fileURLToPath(new URL("../../../load-tests/peers/torch_step.py", import.meta.url));
const PYTHON = process.env.MOSARA_PYTHON ?? "python3";

export const trainScenario: Scenario = {
  name: "train",
  summary: "A training step ÷ PyTorch's (MOSARA_PYTHON or python3 with torch): an adapter, and a whole small model.",
  run: async (context) => {
    const hasPeer = spawnSync(PYTHON, ["-c", "import torch"], { stdio: "ignore" }).status === 0;
    if (!hasPeer) context.note(`no comparison: ${PYTHON} with torch is not there (MOSARA_PYTHON names one)`);
    const figures: Figure[] = [];
    for (const one of [M, S]) figures.push(...(await measureCase(context, one, hasPeer)));
    return figures;
  },
};

/** Tiny, for a look whether everything runs. */
function smoke(one: TrainCase): TrainCase {
  return {
    ...one,
    shape: { ...SMOKE, dtype: "float32", isTied: false },
    batch: 2,
    length: 16,
    adapterRank: one.adapterRank && 8,
  };
}

async function measureCase(context: BenchContext, wanted: TrainCase, hasPeer: boolean): Promise<Figure[]> {
  const { folder, options, note } = context;
  const one = options.isSmoke ? smoke(wanted) : wanted;
  return await folder.withScratch(async (scratch) => {
    const job = await writeJob(options.workDir, scratch, one, options.numThreads);
    note(`measuring ${one.name}`);
    await using ours = new StepProcess([process.execPath, OURS, job]);
    // Threads of torch that wait busily take the processors from each other where anything else runs.
    await using peer = hasPeer ? new StepProcess([PYTHON, PEER, job], { OMP_WAIT_POLICY: "PASSIVE" }) : null;
    const sides = [side("ours", ours), ...(peer ? [side("torch", peer)] : [])];
    await measureInTurns(
      sides.map((each) => variantOf(each, options)),
      options.numRounds,
    );
    return figuresOf(one, sides);
  });
}

interface Side {
  readonly name: string;
  readonly process: StepProcess;
  readonly turns: StepTurn[];
}

const side = (name: string, process: StepProcess): Side => ({ name, process, turns: [] });

function variantOf({ name, process, turns }: Side, { numSteps }: BenchOptions): Variant {
  return {
    name,
    measure: async () => {
      const turn = await process.take(Math.ceil(numSteps / 3));
      turns.push(turn);
      return turn.seconds;
    },
  };
}

function figuresOf(one: TrainCase, sides: readonly Side[]): Figure[] {
  const figures = sides.flatMap((each) => sideFigures(one, each));
  const [ours, peer] = sides;
  if (!ours || !peer) return figures;
  const [mine, theirs] = [ours, peer].map(timesOf) as [Times, Times];
  const goal = GOALS.get(one.name);
  const what = `${one.name}: step, ours ÷ torch`;
  return [
    goal === undefined
      ? ratio(what, mine.wall, theirs.wall)
      : ratio(what, mine.wall, theirs.wall, { atMost: goal }, "train"),
    ratio(`${one.name}: processor time of a step, ours ÷ torch`, mine.cpu, theirs.cpu),
    ...figures,
    ...lossFigures(one, ours, peer),
  ];
}

/** How far the losses of the two are apart: at the first step, and at the worst of all. */
function lossFigures(one: TrainCase, ours: Side, peer: Side): Figure[] {
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

interface Times {
  readonly wall: readonly number[];
  readonly cpu: readonly number[];
}

/** Of the rounds that count, in ms a step. */
function timesOf({ turns }: Side): Times {
  const counted = turns.slice(1);
  const perStep = (of: (turn: StepTurn) => number): number[] =>
    counted.map((turn) => (1000 * of(turn)) / turn.losses.length);
  return { wall: perStep((turn) => turn.seconds), cpu: perStep((turn) => turn.cpuSeconds) };
}

function sideFigures(one: TrainCase, each: Side): Figure[] {
  const { wall, cpu } = timesOf(each);
  const peak = each.turns.at(-1)?.peakBytes ?? NaN;
  const what = (text: string): string => `${one.name}: ${text}, ${each.name}`;
  return [
    { what: what("step"), unit: "ms", samples: wall },
    { what: what("processor time of a step"), unit: "ms", samples: cpu },
    { what: what("peak memory"), unit: "MB", samples: [peak / 1e6] },
  ];
}
