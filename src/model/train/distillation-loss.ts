/**
 * The loss of distillation: how far a model's next-token distributions are from a teacher's.
 * Source: Kullback and Leibler's divergence, the teacher first; Hinton et al. 2015, arXiv 1503.02531, at temperature 1.
 */
import type { Var } from "../../graph/graph.ts";
import { mul, sub } from "../../graph/ops/elementwise.ts";
import { logSoftmax, softmax } from "../../graph/ops/norm.ts";
import { reduceSum } from "../../graph/ops/reduce.ts";

/**
 * KL(teacher ‖ student) = Σ p_T (log p_T − log p_S) of every row, in nats.
 * @param logits of the student, float32 [N,V]
 * @param teacherLogits float32 [N,V]
 * @returns float32 [N]
 */
export function distillationLosses(logits: Var, teacherLogits: Var): Var {
  const difference = sub(logSoftmax(teacherLogits, 1), logSoftmax(logits, 1));
  return reduceSum(mul(softmax(teacherLogits, 1), difference), { axes: [1], keepDims: false });
}
