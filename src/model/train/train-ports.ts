/** Every input and output of the training graph, by name and type: the contract between its builder and the trainer. */
import type { DType } from "../../tensor/dtype.ts";

export interface TrainPort {
  readonly name: string;
  readonly dtype: DType;
}

/** Token ids [B,T]. Tokens never see the padding after a row's end. */
export const TRAIN_IDS: TrainPort = { name: "input_ids", dtype: "int64" };
/** Position of every token [B,T], for the rotary tables. */
export const TRAIN_POSITIONS: TrainPort = { name: "position_ids", dtype: "int64" };
/**
 * Only in packed graphs [prefix]: the tokens that all rows begin with. They are computed once. Their positions are 0,
 * 1, …, and those of `TRAIN_IDS` follow.
 */
export const PREFIX_IDS: TrainPort = { name: "prefix_ids", dtype: "int64" };
/**
 * Only in packed graphs [B,keys], for the keys of every row, which are those of the prefix and then its own: the first
 * key index whose token does not see the key any more. Tokens also never see later ones. A row can hold several
 * sequences in this way, and what some of them begin with once.
 */
export const KEY_ENDS: TrainPort = { name: "key_ends", dtype: "int64" };
/**
 * Rows that predict a token [N]: b·T + t, in packed graphs after those of the prefix. Their logits enter the loss. Rows
 * may repeat.
 */
export const LOSS_ROWS: TrainPort = { name: "loss_rows", dtype: "int64" };
/** The token that each of `LOSS_ROWS` must predict [N]. */
export const LOSS_LABELS: TrainPort = { name: "loss_labels", dtype: "int64" };
/** Weight of each of `LOSS_ROWS` [N]: 1, or 0 for a row of padding. */
export const LOSS_WEIGHTS: TrainPort = { name: "loss_weights", dtype: "float32" };
/** Divisor of the weighted sum, a scalar: the sum of the weights of the whole step, over all its micro-batches. */
export const LOSS_DENOMINATOR: TrainPort = { name: "loss_denominator", dtype: "float32" };

/**
 * Only for preferences, instead of the weights [P,N]: −1 where a loss row belongs to the chosen answer of a pair,
 * 1 where it belongs to the rejected one, otherwise 0.
 */
export const PAIR_SIGNS: TrainPort = { name: "pair_signs", dtype: "float32" };
/**
 * Only for preferences [P]: log-probability of the chosen answer minus that of the rejected one, under the reference.
 */
export const REFERENCE_MARGINS: TrainPort = { name: "reference_margins", dtype: "float32" };

/** Only for rewards, instead of the weights [N]: the advantage of the answer that a loss row belongs to. */
export const ADVANTAGES: TrainPort = { name: "advantages", dtype: "float32" };
/** Only for rewards [N]: log-probability of each label when it was sampled. */
export const SAMPLED_LOGPROBS: TrainPort = { name: "sampled_logprobs", dtype: "float32" };

/** Only for distillation [N,V]: the teacher's logits of the loss rows. Labels are not read then. */
export const TEACHER_LOGITS: TrainPort = { name: "teacher_logits", dtype: "float32" };

/** Σ weight · cross-entropy / denominator, or Σ losses of pairs or of graded tokens / denominator; a float32 scalar. */
export const LOSS = "loss";
/** Cross-entropy of each of `LOSS_ROWS`, float32 [N]. */
export const ROW_LOSSES = "row_losses";

/** The gradient of a trained parameter, in its shape. */
export const gradientName = (parameter: string): string => `grad.${parameter}`;
