/**
 * What is known already: one JSON object a line, appended as runs end and kept in the repository, so that a study goes
 * on where it was stopped, on whatever machine. A result belongs to one base, one number of steps, one task, one
 * setting and one seed.
 */
import { KnownRuns } from "./known-runs.ts";

/** What makes a run the run it is. */
export interface RunKey {
  readonly baseId: string;
  readonly steps: number;
  readonly task: string;
  readonly setting: string;
  readonly seed: number;
}

/** What came out of a run. */
export interface RunResult extends RunKey {
  /** Trained numbers. */
  readonly numParams: number;
  /** Size of the adapter's file; null: a checkpoint. */
  readonly bytes: number | null;
  /** Held-out loss of the base and of what was trained, nats a token. */
  readonly baseLoss: number;
  readonly loss: number;
  /** The task's metric, of what was trained and of the base (null: not measured beside it). */
  readonly baseScore: number | null;
  readonly score: number;
  /** Training alone, with the two evaluations of its loss. */
  readonly seconds: number;
}

/** Tokens/s with an adapter in every row ÷ tokens/s of the bare base, in turns. */
export interface SpeedResult {
  readonly baseId: string;
  readonly speedOf: string;
  readonly samples: readonly number[];
}

type Line = RunResult | SpeedResult;

export class Results {
  readonly #lines: KnownRuns<object, Line>;

  constructor(path: string) {
    this.#lines = new KnownRuns(path);
  }

  find(key: RunKey): RunResult | undefined {
    return this.runs(key.baseId, key.steps).find(
      ({ task, setting, seed }) => task === key.task && setting === key.setting && seed === key.seed,
    );
  }

  runs(baseId: string, steps: number): readonly RunResult[] {
    return this.#lines.all.filter(
      (line): line is RunResult => "setting" in line && line.baseId === baseId && line.steps === steps,
    );
  }

  /** Of a setting's serving speed; empty when it was not measured. */
  speeds(baseId: string, setting: string): readonly number[] {
    const found = this.#lines.all.find(
      (line) => "speedOf" in line && line.baseId === baseId && line.speedOf === setting,
    );
    return found && "speedOf" in found ? found.samples : [];
  }

  add(line: Line): void {
    this.#lines.add(line);
  }
}
