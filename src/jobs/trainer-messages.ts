/** Messages between the server and the process of a job's trainer. Types only. */
import type { WireError } from "../errors.ts";

/** From the server: the arguments of `mosara train`. */
export interface TrainerOrder {
  readonly args: readonly string[];
}

/** From the trainer. */
export type TrainerNews =
  /** A step, or an evaluation (`evalLoss`), of `totalSteps`. */
  | {
      readonly type: "step";
      readonly step: number;
      readonly totalSteps: number;
      readonly loss: number | null;
      readonly evalLoss: number | null;
      /** Mean reward of the answers; null for other objectives. */
      readonly reward: number | null;
      readonly tokens: number;
    }
  /** The result, after so many steps. */
  | {
      readonly type: "done";
      readonly steps: number;
      readonly trainLoss: number | null;
      readonly evalLoss: number | null;
    }
  | { readonly type: "failed"; readonly error: WireError };
