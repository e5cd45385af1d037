/** The method of a training run, complete: every value is chosen, by a flag or by the method's default. */
import type { Method, RouterKind } from "../adapter/adapter.ts";

/** Method and the sizes that belong to it. */
export interface MethodSettings {
  readonly method: Method | "full";
  readonly heads: number;
  readonly router: RouterKind;
  /** lora. */
  readonly rank: number | null;
  readonly alpha: number | null;
  readonly learningRate: number;
  /** Largest share of the loss that a step may promise to remove; null: no bound. */
  readonly trust: number | null;
}
