/**
 * The loss of rewards: the clipped surrogate of the policy gradient, token by token, with the advantages of a group.
 * Sources: PPO, Schulman et al. 2017, arXiv 1707.06347, equation 7. Advantages of groups instead of a critic: GRPO,
 * Shao et al. 2024, arXiv 2402.03300. One mean over all tokens of a step: DAPO, Yu et al. 2025, arXiv 2503.14476,
 * equation 8.
 */
import type { Var } from "../../graph/graph.ts";
import { add, exp, less, lessOrEqual, mul, neg, where } from "../../graph/ops/elementwise.ts";

/** The answers of a group among the loss rows. */
export interface AnswerVars {
  /** float32 [N]: the advantage A of the answer that a row belongs to. */
  readonly advantages: Var;
  /** float32 [N]: log-probability of the token when it was sampled. */
  readonly sampledLogprobs: Var;
}

/**
 * −min(ρA, clip(ρ, 1 − ε, 1 + ε) A) of every token, with ρ = π(token) / π(token when sampled). The gradient is −ρA ∇log
 * π, and 0 where the token has already moved more than ε in the wanted direction. ρ also corrects a sampler that rounds
 * differently from the trainer.
 * @param losses float32 [N]: −log π of every token
 * @param clip ε
 * @returns float32 [N]
 */
export function rewardLosses(losses: Var, { advantages, sampledLogprobs }: AnswerVars, clip: number): Var {
  const constant = (value: number): Var => losses.graph.constant("float32", [], [value]);
  const ratios = exp(neg(add(losses, sampledLogprobs)));
  // min(ρA, clip(ρ) A) is min(ρA, bound), because only one side of the interval can bound a product with A.
  const bounds = mul(where(less(constant(0), advantages), constant(1 + clip), constant(1 - clip)), advantages);
  const gains = mul(ratios, advantages);
  return neg(where(lessOrEqual(gains, bounds), gains, bounds));
}
