/**
 * What our server shall reach beside other programs: at least ours ÷ theirs. CPUs whose instructions multiply and add
 * bytes (VNNI) have goals of their own, since our kernels use them.
 */
import { readCpuFacts } from "../../../src/runtime/cpu-features.ts";
import type { WeightChoice } from "../../options.ts";
import type { Promised } from "../../report/figures.ts";
import type { RowName } from "../../report/goals.ts";

/** By row of the summary. A row without a goal is not promised. */
export type BesideGoals = Readonly<Partial<Record<RowName, number>>>;

type GoalsOfWeights = Readonly<Record<WeightChoice["kind"], BesideGoals>>;

const BESIDE_RIVALS = { "rivals-16": 1.2, "rivals-lora": 1.5 };
const NONE = { float32: {}, float16: {} };

const PLAIN: GoalsOfWeights = {
  ...NONE,
  int8: {
    ...BESIDE_RIVALS,
    "peer-16": 1.3,
    "peer-adapters": 5,
    "peer-1": 1.2,
    "peer-schema": 2,
    "peer-prefill": 1.2,
    "rivals-prefill": 1.2,
  },
  int4: {
    ...BESIDE_RIVALS,
    "peer-16": 1.3,
    "peer-adapters": 5,
    "peer-1": 1.05,
    "peer-prefill": 1,
    "rivals-prefill": 1,
  },
};

const WITH_VNNI: GoalsOfWeights = {
  ...NONE,
  int8: { ...PLAIN.int8, "peer-16": 2.4, "peer-adapters": 6, "peer-1": 1.6 },
  int4: { ...PLAIN.int4, "peer-16": 1.7, "peer-adapters": 4, "peer-1": 1.2 },
};

/** The goals of weights on this machine. */
export async function goalsHere({ kind }: WeightChoice): Promise<BesideGoals> {
  const { features } = await readCpuFacts();
  const goals = features.some((feature) => feature.endsWith("_vnni")) ? WITH_VNNI : PLAIN;
  return goals[kind];
}

/** The goal of a row with some weights, and the row, for `ratio`; nothing where none is set. */
export function promiseOf(goals: BesideGoals, row: RowName | null): Promised {
  const least = row === null ? undefined : goals[row];
  return row === null || least === undefined ? [] : [{ atLeast: least }, row];
}
