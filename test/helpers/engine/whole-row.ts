/** A whole row of logits over a small vocabulary, as the sampler reads it. */
import fc from "fast-check";
import type { WholeRow } from "../../../src/engine/sampling/logit-rows.ts";

export const V = 12;

/** So small that a row has several. */
const BLOCK_SIZE = 5;

/** A row whose blocks' maxima are still to be worked out. */
export function whole(logits: Iterable<number>): WholeRow {
  return { kind: "whole", logits: Float32Array.from(logits), maxima: null, blockSize: BLOCK_SIZE };
}

/** On a grid: equal values are equal and different ones differ by more than exp() rounds away. */
export const logitsRow = fc.array(
  fc.integer({ min: -6000, max: 6000 }).map((step) => step / 1024),
  {
    minLength: V,
    maxLength: V,
  },
);
