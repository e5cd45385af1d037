/**
 * Converts a micro-batch to the training graph's feeds. Rows that predict a token are gathered. Indices are bounded,
 * hence `!`.
 */
import {
  KEY_ENDS,
  LOSS_DENOMINATOR,
  LOSS_LABELS,
  LOSS_ROWS,
  PREFIX_IDS,
  TRAIN_IDS,
  TRAIN_POSITIONS,
} from "../model/train/train-ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../runtime/ort.ts";
import { type MicroBatch, sequencesOf } from "./data/batches.ts";
import { type BatchLayout, type TokenCosts, packedLayout, unpackedLayout } from "./data/layout.ts";

/** Number of predicted tokens in a micro-batch. */
export function lossTokens(batch: MicroBatch): number {
  return sequencesOf(batch).reduce((sum, { numLossTokens }) => sum + numLossTokens, 0);
}

/** The layout of a micro-batch. @param packing null: a row for each sequence */
export function batchLayout(batch: MicroBatch, packing: TokenCosts | null): BatchLayout {
  return packing ? packedLayout(batch, packing) : unpackedLayout(batch);
}

/**
 * The feeds of every objective: the tokens in their layout, and the tokens to predict in the order of the sequences.
 * @param denominator divisor of the sum of losses: that of the whole step
 * @param packing of a packed graph; null: of a plain one
 */
export function batchFeeds(
  batch: MicroBatch,
  denominator: number,
  packing: TokenCosts | null,
): Record<string, RuntimeTensor> {
  const layout = batchLayout(batch, packing);
  const { prefixSize, numRows, rowLength, ids, positions } = layout;
  const shape = [numRows, rowLength];
  const count = lossTokens(batch);
  return {
    [TRAIN_IDS.name]: integers(ids.subarray(prefixSize), shape),
    [TRAIN_POSITIONS.name]: integers(positions.subarray(prefixSize), shape),
    ...(packing ? packingFeeds(layout) : {}),
    ...wantedFeeds(batch, layout, count),
    [LOSS_DENOMINATOR.name]: runtimeTensor("float32", Float32Array.of(denominator), []),
  };
}

function integers(values: Int32Array, shape: readonly number[]): RuntimeTensor {
  return runtimeTensor("int64", BigInt64Array.from(values, BigInt), shape);
}

/** The prefix, and the key index at which each key ends to be seen. Padding of the prefix is never seen. */
function packingFeeds({ prefixLength, prefixSize, numRows, rowLength, ids, ends }: BatchLayout) {
  const numKeys = prefixSize + rowLength;
  const keyEnds = new Int32Array(numRows * numKeys);
  for (let row = 0; row < numRows; row++) {
    keyEnds.fill(numKeys, row * numKeys, row * numKeys + prefixLength);
    const own = ends.subarray(row * rowLength, (row + 1) * rowLength).map((end) => prefixSize + end);
    keyEnds.set(own, row * numKeys + prefixSize);
  }
  return {
    [PREFIX_IDS.name]: integers(ids.subarray(0, prefixSize), [prefixSize]),
    [KEY_ENDS.name]: integers(keyEnds, [numRows, numKeys]),
  };
}

function wantedFeeds(batch: MicroBatch, { places }: BatchLayout, count: number) {
  const rows = new BigInt64Array(count);
  const labels = new BigInt64Array(count);
  let found = 0;
  sequencesOf(batch).forEach(({ ids, lossMask }, i) => {
    for (let t = 1; t < ids.length; t++) {
      if (lossMask[t] !== 1) continue;
      rows[found] = BigInt(places[i]![t - 1]!);
      labels[found++] = BigInt(ids[t]!);
    }
  });
  if (found !== count) throw new Error(`internal: ${found} tokens to predict, ${count} announced`);
  return {
    [LOSS_ROWS.name]: runtimeTensor("int64", rows, [count]),
    [LOSS_LABELS.name]: runtimeTensor("int64", labels, [count]),
  };
}
