/** The complete settings of a training run's method: every value was chosen, by a flag or by the method's default. */
import type { Method, RouterKind } from "../adapter/adapter.ts";

/** The method and its sizes. */
export interface MethodSettings {
  readonly method: Method | "full";
  readonly heads: number;
  readonly router: RouterKind;
  /** lora only. */
  readonly rank: number | null;
  readonly alpha: number | null;
  /** β of preferences; null: examples are learnt. */
  readonly beta: number | null;
  readonly learningRate: number;
  /** Largest share of the loss that a step may promise to remove; null: no bound. */
  readonly trust: number | null;
}
