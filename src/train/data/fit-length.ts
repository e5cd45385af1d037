/**
 * Fits examples to the maximum length. Over-long examples are cut or left out; examples without a token to predict are
 * left out. All counts are returned, so that nothing happens silently.
 */
import type { TrainExample, TrainSequence } from "./batches.ts";

/** "truncate" keeps the beginning of an over-long example, "skip" leaves it out. */
export type OverlongPolicy = "truncate" | "skip";

export interface FittedExamples {
  readonly examples: readonly TrainExample[];
  readonly numTruncated: number;
  /** Number of over-long examples that were left out. */
  readonly numSkipped: number;
  /** Number of examples left out because they have no token to predict at any length. */
  readonly numUnlearnt: number;
  /** Number of examples left out because cutting removed all tokens to predict. */
  readonly numEmpty: number;
}

/**
 * Cuts every example after its last predicted token, because later tokens change nothing, and applies the policy.
 * @param maxLength maximum number of tokens of an example
 */
export function fitLength(
  examples: readonly TrainExample[],
  maxLength: number,
  policy: OverlongPolicy,
): FittedExamples {
  const kept: TrainExample[] = [];
  const counts = { numTruncated: 0, numSkipped: 0, numUnlearnt: 0, numEmpty: 0 };
  for (const example of examples) {
    const { rejected } = example;
    const [length, other] = [usedLength(example), rejected ? usedLength(rejected) : null];
    if (length === 0 || other === 0) {
      counts.numUnlearnt++;
      continue;
    }
    const isOverlong = Math.max(length, other ?? 0) > maxLength;
    if (isOverlong && policy === "skip") {
      counts.numSkipped++;
      continue;
    }
    const cut = cutTo(example, Math.min(length, maxLength));
    const otherCut = rejected && cutTo(rejected, Math.min(other ?? 0, maxLength));
    if (cut.numLossTokens === 0 || otherCut?.numLossTokens === 0) counts.numEmpty++;
    else {
      if (isOverlong) counts.numTruncated++;
      kept.push(otherCut ? { ...cut, rejected: otherCut } : cut);
    }
  }
  return { examples: kept, ...counts };
}

/** Tokens up to the last predicted one. */
function usedLength({ lossMask }: TrainSequence): number {
  return lossMask.lastIndexOf(1) + 1;
}

function cutTo({ ids, lossMask }: TrainSequence, length: number): TrainSequence {
  const mask = lossMask.subarray(0, length);
  let numLossTokens = 0;
  for (let i = 1; i < mask.length; i++) numLossTokens += mask[i] === 1 ? 1 : 0;
  return { ids: ids.subarray(0, length), lossMask: mask, numLossTokens };
}

/**
 * Reports every example that was cut or left out. @param use "training" or "evaluation" @param numAll examples before
 * fitting
 */
export function reportLeftOut(
  use: string,
  numAll: number,
  maxLength: number,
  { numTruncated, numSkipped, numUnlearnt, numEmpty }: FittedExamples,
  onNotice: (text: string) => void,
): void {
  const of = `of ${numAll} ${use} examples`;
  if (numTruncated > 0)
    onNotice(
      `${numTruncated} ${of} are longer than ${maxLength} tokens and were cut there (--overlong, --max-length).`,
    );
  if (numSkipped > 0)
    onNotice(`${numSkipped} ${of} are longer than ${maxLength} tokens and were left out (--overlong, --max-length).`);
  if (numUnlearnt > 0)
    onNotice(
      `${numUnlearnt} ${of} have nothing to learn (every turn has the weight 0, or is empty) and were left out.`,
    );
  if (numEmpty > 0) onNotice(`${numEmpty} ${of} have nothing to predict within ${maxLength} tokens and were left out.`);
}
