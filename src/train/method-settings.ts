/** The complete settings of a training run's method: every value was chosen, by a flag or by the method's default. */
import type { Method, RouterKind } from "../adapter/adapter.ts";

/**
 * The aim of the training: the answers of examples, preferences between answers, or rewards of the model's own answers.
 */
export type TrainObjective =
  | { readonly kind: "sft" }
  | { readonly kind: "dpo"; readonly beta: number }
  | ({ readonly kind: "reward" } & RewardSettings);

export interface RewardSettings {
  /** Answers to each prompt of a step. */
  readonly groupSize: number;
  /** Maximum number of tokens of an answer. */
  readonly maxAnswerTokens: number;
  /**
   * ε: how far a step may move the probability of a token, as a share of its probability when the token was sampled.
   */
  readonly clip: number;
}

/** The method and its sizes. */
export interface MethodSettings {
  readonly method: Method | "full";
  readonly heads: number;
  readonly router: RouterKind;
  /** lora only. */
  readonly rank: number | null;
  readonly alpha: number | null;
  readonly objective: TrainObjective;
  readonly learningRate: number;
  /** Largest share of the loss that a step may promise to remove; null: no bound. */
  readonly trust: number | null;
}
