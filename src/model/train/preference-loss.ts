/**
 * The loss of direct preference optimisation (DPO): a pair of answers to one prompt, of which one is preferred.
 * Source: Rafailov et al. 2023, arXiv 2305.18290, equation 7; "sigmoid" in TRL's DPOTrainer.
 */
import type { Var } from "../../graph/graph.ts";
import { mul, neg, softplus, sub } from "../../graph/ops/elementwise.ts";
import { matMul } from "../../graph/ops/linear.ts";
import { squeeze, unsqueeze } from "../../graph/ops/shaping.ts";

/** The answers of a pair among the loss rows, and the reference's opinion of them. */
export interface PairVars {
  /** float32 [P,N]: −1 for rows of the chosen answer, 1 for rows of the rejected one, otherwise 0. */
  readonly signs: Var;
  /** float32 [P]: log π_ref(chosen) − log π_ref(rejected). */
  readonly referenceMargins: Var;
}

/**
 * −log σ(β (log π(chosen) − log π(rejected) − log π_ref(chosen) + log π_ref(rejected))) of every pair, as
 * log(1 + e^−x). The log-probability of an answer is the sum over its tokens.
 * @param losses float32 [N]: −log-probability of every predicted token
 * @param beta how strongly the loss keeps the trained model close to the reference
 * @returns float32 [P]
 */
export function preferenceLosses(losses: Var, { signs, referenceMargins }: PairVars, beta: number): Var {
  const margins = squeeze(matMul(signs, unsqueeze(losses, 1)), 1);
  const scores = mul(sub(margins, referenceMargins), losses.graph.constant("float32", [], [beta]));
  return softplus(neg(scores));
}
