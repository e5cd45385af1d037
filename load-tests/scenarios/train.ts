/**
 * A training step of ours compared with PyTorch's on the same model, batch and threads, each in a process of its own,
 * in turns: an adapter on a frozen base (M) and a whole small model (S). Without a Python that has torch, only our side
 * is measured.
 */
import { spawnSync } from "node:child_process";
import { type Figure, ratio } from "../report/figures.ts";
import { measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { StepProcess } from "../processes/step-process.ts";
import { type TrainCase, writeJob } from "../processes/train-job.ts";
import {
  OURS,
  PEER_ENVIRONMENT,
  PYTHON,
  type Side,
  type Times,
  lossFigures,
  peerScript,
  side,
  sideFigures,
  smokeCase,
  timesOf,
  variantOf,
} from "../step-sides.ts";

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
  adapter: { method: "mo-sara", rank: 64 },
  learningRate: 5e-3,
};

const S: TrainCase = {
  name: "pretraining (S)",
  shape: { ...M.shape, layers: 6, hidden: 256, heads: 4, kvHeads: 2, ffn: 704, vocab: 2048 },
  batch: 16,
  length: 128,
  lossShare: 1,
  adapter: null,
  learningRate: 1e-3,
};

const GOALS = new Map([
  [M.name, 0.9],
  [S.name, 1],
]);
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

async function measureCase(context: BenchContext, wanted: TrainCase, hasPeer: boolean): Promise<Figure[]> {
  const { folder, options, note } = context;
  const one = options.isSmoke ? smokeCase(wanted) : wanted;
  return await folder.withScratch(async (scratch) => {
    const job = await writeJob(options.workDir, scratch, one, options.numThreads);
    note(`measuring ${one.name}`);
    await using ours = new StepProcess([process.execPath, OURS, job]);
    await using peer = hasPeer ? new StepProcess([PYTHON, peerScript("torch_step.py"), job], PEER_ENVIRONMENT) : null;
    const sides = [side("ours", ours), ...(peer ? [side("torch", peer)] : [])];
    await measureInTurns(
      sides.map((each) => variantOf(each, options)),
      options.numRounds,
    );
    return figuresOf(one, sides);
  });
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
