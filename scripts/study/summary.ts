/** From single runs to the rows of a table: means over seeds, gains against the reference. Pure. */
import type { RunResult } from "./results.ts";
import { REFERENCE } from "./settings.ts";

/** A setting on a task, over its seeds. */
export interface Cell {
  readonly numSeeds: number;
  /** Mean over seeds, nats a token. */
  readonly loss: number;
  /** Greatest minus least. */
  readonly lossSpread: number;
  /** Loss drop from the base ÷ that of the reference on this task; NaN without the reference. */
  readonly gain: number;
  readonly score: number;
  readonly seconds: number;
  readonly numParams: number;
  readonly bytes: number | null;
}

/** @returns null when no run of it is known */
export function cellOf(runs: readonly RunResult[], task: string, setting: string): Cell | null {
  const own = runs.filter((run) => run.task === task && run.setting === setting);
  const [first] = own;
  if (!first) return null;
  const reference = runs.filter((run) => run.task === task && run.setting === REFERENCE);
  const losses = own.map(({ loss }) => loss);
  return {
    numSeeds: own.length,
    loss: mean(losses),
    lossSpread: Math.max(...losses) - Math.min(...losses),
    gain: meanDrop(own) / meanDrop(reference),
    score: mean(own.map(({ score }) => score)),
    seconds: mean(own.map(({ seconds }) => seconds)),
    numParams: first.numParams,
    bytes: first.bytes,
  };
}

/** Mean gain over the tasks that both the setting and the reference ran on; NaN when there is none. */
export function meanGain(runs: readonly RunResult[], tasks: readonly string[], setting: string): number {
  return mean(tasks.map((task) => cellOf(runs, task, setting)?.gain ?? Number.NaN).filter(Number.isFinite));
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function meanDrop(runs: readonly RunResult[]): number {
  return mean(runs.map(({ baseLoss, loss }) => baseLoss - loss));
}
