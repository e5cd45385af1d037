/**
 * Cross-entropy of a vocabulary projection as one operator. The logits
 * and their gradient are by far the widest tensors of a training step.
 * Softmax is therefore computed once, and all other work is done on the narrow side where possible.
 */
import { type Var, expectDtype, expectShape } from "../graph/graph.ts";
import { div, log, maximum, mul, neg, sub, tanh } from "../graph/ops/elementwise.ts";
import { expandAs, squeeze, unsqueeze } from "../graph/ops/shaping.ts";
import { gather, gatherElements, scatterAdd } from "../graph/ops/indexing.ts";
import { gemm, linear } from "../graph/ops/linear.ts";
import { softmax } from "../graph/ops/norm.ts";
import { declareComposite } from "./composite.ts";
import { type Gradient, scalarLike } from "./rule.ts";

// The smallest normal float32. A probability that underflows thus costs 87 nats instead of infinity, and the gradient
// stays exact.
const SMALLEST_PROBABILITY = 2 ** -126;

/**
 * −log softmax(x Wᵀ)[label] of every row.
 * With P = softmax(x Wᵀ), E the one-hot rows of the labels and dy [N]: dx = dy (P W − W[labels]), dW = (P − E)ᵀ (dy x).
 * Capped logits c·tanh(x Wᵀ/c): P − E is multiplied by 1 − (logits/c)².
 * @param x float32 [N,C]
 * @param weight the LM head, float32 [V,C]
 * @param labels int64 [N]
 * @param options.trainsHead whether the gradient of `weight` is needed: P − E is then built once for both gradients
 * @param options.softCap c, or 0: logits are not capped
 * @returns logits float32 [N,V] and the loss of each row, float32 [N]
 */
export function headCrossEntropy(
  x: Var,
  weight: Var,
  labels: Var,
  { trainsHead, softCap }: { readonly trainsHead: boolean; readonly softCap: number },
): { logits: Var; losses: Var } {
  expectDtype("headCrossEntropy", "labels", labels, "int64");
  expectShape("headCrossEntropy", "labels", labels, x.shape.slice(0, 1));
  const isCapped = softCap !== 0;
  const cap = scalarLike(x, softCap);
  const scores = linear(x, weight);
  const bent = isCapped ? tanh(div(scores, cap)) : scores;
  const logits = isCapped ? mul(bent, cap) : scores;
  const probabilities = softmax(logits, 1);
  const column = unsqueeze(labels, 1); // [N,1]
  const chosen = squeeze(gatherElements(probabilities, column, 1), 1);
  const losses = neg(log(maximum(chosen, scalarLike(x, SMALLEST_PROBABILITY))));

  let built: Var | null = null;
  const errors = (): Var => {
    if (built) return built;
    const minusOne = expandAs(scalarLike(x, -1), column);
    const difference = scatterAdd(probabilities, column, minusOne, 1); // P − E
    return (built = isCapped ? mul(difference, sub(scalarLike(x, 1), mul(bent, bent))) : difference);
  };
  const rule = (dy: Var): readonly Gradient[] => {
    const scale = unsqueeze(dy, 1); // [N,1]
    const needsErrors = trainsHead || isCapped;
    return [
      () =>
        mul(
          needsErrors ? gemm(errors(), weight, {}) : gemm(probabilities, weight, {}, neg(gather(weight, labels, 0))),
          scale,
        ),
      () => gemm(errors(), mul(x, scale), { transA: true }),
    ];
  };
  return { logits, losses: declareComposite(losses, { operands: [x, weight], rule }) };
}
