/**
 * A training step of ours compared with transformers and PEFT on the shape of SmolLM2-135M, each in a process of its
 * own, in turns: our LoRA and our Mo-SARA, both beside PEFT's LoRA. PEFT has no Mo-SARA.
 */
import { spawnSync } from "node:child_process";
import { AppError } from "../../src/errors.ts";
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
  lossFigures,
  peerScript,
  side,
  sideFigures,
  smokeCase,
  timesOf,
  variantOf,
} from "../step-sides.ts";

const LORA: TrainCase = {
  name: "LoRA r 8 on q,v",
  // The family of the random checkpoint, Qwen2, has biases on q, k and v that SmolLM2 has not.
  shape: {
    layers: 30,
    hidden: 576,
    heads: 9,
    kvHeads: 3,
    ffn: 1536,
    vocab: 49_152,
    isTied: true,
    dtype: "bfloat16",
    seed: 1,
  },
  batch: 4,
  length: 256,
  lossShare: 0.5,
  adapter: { method: "lora", rank: 8 },
  learningRate: 1e-3,
};

/** About as many directions as threshold 0.25 gives the real model. */
const MO_SARA: TrainCase = { ...LORA, name: "Mo-SARA on q,v", adapter: { method: "mo-sara", rank: 64 } };

const STEP_GOAL = 0.7;
const MEMORY_GOAL = 0.6;

export const peftScenario: Scenario = {
  name: "peft",
  summary: "A training step and its memory on SmolLM2-135M's shape ÷ transformers with PEFT (MOSARA_PYTHON).",
  run: async (context) => {
    const { status } = spawnSync(PYTHON, ["-c", "import torch, transformers, peft"], { stdio: "ignore" });
    if (status !== 0)
      throw new AppError(
        "usage",
        `peft wants a Python with torch, transformers and peft (MOSARA_PYTHON), found ${PYTHON}.`,
      );
    return await measure(context);
  },
};

async function measure({ folder, options, note }: BenchContext): Promise<readonly Figure[]> {
  const [lora, moSara] = options.isSmoke ? [smokeCase(LORA), smokeCase(MO_SARA)] : [LORA, MO_SARA];
  return await folder.withScratch(async (scratch) => {
    const jobs = [];
    for (const one of [lora, moSara]) jobs.push(await writeJob(options.workDir, scratch, one, options.numThreads));
    const [loraJob = "", moSaraJob = ""] = jobs;
    note("measuring steps beside PEFT");
    await using ours = new StepProcess([process.execPath, OURS, loraJob]);
    await using ownMethod = new StepProcess([process.execPath, OURS, moSaraJob]);
    await using peer = new StepProcess([PYTHON, peerScript("peft_step.py"), loraJob], PEER_ENVIRONMENT);
    const sides = [side("ours", ours), side("ours", ownMethod), side("PEFT", peer)] as const;
    await measureInTurns(
      sides.map((each, i) => ({ ...variantOf(each, options), name: String(i) })),
      options.numRounds,
    );
    const [mine, own, theirs] = sides;
    return [
      ...ratiosOf(lora, mine, theirs),
      ...ratiosOf(moSara, own, theirs),
      ...lossFigures(lora, mine, theirs),
      ...[sideFigures(lora, mine), sideFigures(moSara, own), sideFigures(lora, theirs)].flat(),
    ];
  });
}

function ratiosOf({ name }: TrainCase, mine: Side, theirs: Side): Figure[] {
  const [own, peer] = [timesOf(mine), timesOf(theirs)];
  const peak = ({ turns }: Side): number => turns.at(-1)?.peakBytes ?? NaN;
  return [
    ratio(`${name}: step, ours ÷ PEFT's LoRA`, own.wall, peer.wall, { atMost: STEP_GOAL }, "peft-step"),
    ratio(`${name}: processor time of a step, ours ÷ PEFT's LoRA`, own.cpu, peer.cpu),
    ratio(
      `${name}: peak memory, ours ÷ PEFT's LoRA`,
      [peak(mine)],
      [peak(theirs)],
      { atMost: MEMORY_GOAL },
      "peft-memory",
    ),
  ];
}
