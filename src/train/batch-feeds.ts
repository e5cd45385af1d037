/**
 * Converts a micro-batch to the training graph's feeds. Rows are padded
 * at the right, where causality hides the padding from the tokens.
 * Rows that predict a token are gathered. A row's last token is left
 * out, because it predicts nothing. Indices are bounded, hence `!`.
 */
import { LOSS_DENOMINATOR, LOSS_LABELS, LOSS_ROWS, TRAIN_IDS, TRAIN_POSITIONS } from "../model/train/train-ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../runtime/ort.ts";
import { type MicroBatch, longestOf, sequencesOf } from "./data/batches.ts";

/** Row lengths are rounded up to a multiple of this, so that a run has few shapes and its memory stops growing. */
export const LENGTH_MULTIPLE = 8;

/** Tokens of a row for examples of at most `length` tokens. */
export function rowLength(length: number): number {
  return Math.max(1, Math.ceil((length - 1) / LENGTH_MULTIPLE)) * LENGTH_MULTIPLE;
}

/** Tokens of all rows of a micro-batch, padding included. */
export function paddedTokens(batch: MicroBatch): number {
  return sequencesOf(batch).length * rowLength(longestIn(batch));
}

/** Number of predicted tokens in a micro-batch. */
export function lossTokens(batch: MicroBatch): number {
  return sequencesOf(batch).reduce((sum, { numLossTokens }) => sum + numLossTokens, 0);
}

function longestIn(batch: MicroBatch): number {
  return batch.reduce((most, example) => Math.max(most, longestOf(example)), 0);
}

/**
 * The feeds of every objective: a row for each sequence, and the tokens to predict in the order of the sequences.
 * @param denominator divisor of the sum of losses: that of the whole step
 */
export function batchFeeds(batch: MicroBatch, denominator: number): Record<string, RuntimeTensor> {
  const sequences = sequencesOf(batch);
  const numRows = sequences.length;
  const length = rowLength(longestIn(batch));
  const ids = new BigInt64Array(numRows * length);
  const positions = BigInt64Array.from({ length: numRows * length }, (_, i) => BigInt(i % length));
  const numWanted = lossTokens(batch);
  const rows = new BigInt64Array(numWanted);
  const labels = new BigInt64Array(numWanted);
  let found = 0;
  sequences.forEach((example, row) => {
    const start = row * length;
    for (let t = 0; t + 1 < example.ids.length; t++) {
      ids[start + t] = BigInt(example.ids[t]!);
      if (example.lossMask[t + 1] !== 1) continue;
      rows[found] = BigInt(start + t);
      labels[found++] = BigInt(example.ids[t + 1]!);
    }
  });
  if (found !== numWanted) throw new Error(`internal: ${found} tokens to predict, ${numWanted} announced`);
  return {
    [TRAIN_IDS.name]: runtimeTensor("int64", ids, [numRows, length]),
    [TRAIN_POSITIONS.name]: runtimeTensor("int64", positions, [numRows, length]),
    [LOSS_ROWS.name]: runtimeTensor("int64", rows, [numWanted]),
    [LOSS_LABELS.name]: runtimeTensor("int64", labels, [numWanted]),
    [LOSS_DENOMINATOR.name]: runtimeTensor("float32", Float32Array.of(denominator), []),
  };
}
