/** A scheduler over a toy cache, its sequences and its steps. */
import { Scheduler, type SchedulerLimits } from "../../../src/engine/scheduling/scheduler.ts";
import { Sequence } from "../../../src/engine/scheduling/sequence.ts";
import { sequenceSpec } from "./sequences.ts";
import { ToyRunner } from "./toy-runner.mjs";

const LIMITS: SchedulerLimits = { maxNumSeqs: 4, maxQueue: 100, maxQueueTokens: 100_000 };

export function makeScheduler(limits: Partial<SchedulerLimits> = {}, maxTokens = 4096): Scheduler {
  const all = { ...LIMITS, ...limits };
  return new Scheduler(all, new ToyRunner({ numRows: all.maxNumSeqs, maxTokens }).kv);
}

/** A prompt of this length. */
export const ones = (length: number): number[] => Array.from({ length }, () => 1);

export function makeSequence(
  id: number,
  numPrompt: number,
  overrides: Parameters<typeof sequenceSpec>[2] = {},
): Sequence {
  return new Sequence(sequenceSpec(id, ones(numPrompt), overrides), 0);
}

/** Starts all that fit; returns their ids. */
export function admitAll(scheduler: Scheduler): number[] {
  const ids: number[] = [];
  for (let next = scheduler.takeAdmissible(); next !== null; next = scheduler.takeAdmissible()) {
    scheduler.start(next, 0);
    ids.push(next.id);
  }
  return ids;
}

/** Does what the loop does after a step, and names the step. */
export function runStep(scheduler: Scheduler): string {
  const plan = scheduler.plan();
  if (plan === null) return "idle";
  if (plan.phase === "decode") {
    scheduler.noteDecoded();
    return `decode ${plan.sequences.map(({ id }) => id).join()}`;
  }
  const { sequence, chunk } = plan;
  scheduler.notePrefilled(sequence, chunk, 1);
  if (chunk.isLast) scheduler.startDecoding(sequence);
  return `prefill ${sequence.id} ${chunk.past}+${chunk.length}`;
}
