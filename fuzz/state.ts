/** How far each target is, in a file, so that a run that was stopped continues. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Fault } from "./campaign.ts";

export interface State {
  readonly seed: number;
  /** The next run of each target. */
  readonly next: Record<string, number>;
  /** Inputs of each target that were read without an error. */
  readonly read: Record<string, number>;
  /** One of each kind. */
  readonly faults: Fault[];
}

/** The state of an earlier run with this seed, or a new one. @throws for the state of another seed */
export function openState(dir: string, seed: number): State {
  mkdirSync(dir, { recursive: true });
  let text: string;
  try {
    text = readFileSync(fileIn(dir), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return { seed, next: {}, read: {}, faults: [] };
  }
  const state = JSON.parse(text) as State;
  if (state.seed === seed) return state;
  throw new Error(`${dir} has the state of the seed ${state.seed}. Give --seed ${state.seed}, or another --state.`);
}

export function saveState(dir: string, state: State): void {
  writeFileSync(`${fileIn(dir)}.new`, JSON.stringify(state, null, 1));
  renameSync(`${fileIn(dir)}.new`, fileIn(dir));
}

const fileIn = (dir: string) => join(dir, "fuzz-state.json");

/** Faults at the same place are of one kind, whatever their messages quote. */
export function kindOf({ target, reason }: Fault): string {
  const places = reason.split("\n").filter((line) => /^ {4}at /.test(line));
  return `${target} ${places.slice(0, 2).join(" ") || reason.replace(/\d+/g, "0")}`;
}
