/**
 * Checks data as a training run would use it: counts, lengths in tokens, cut and left-out examples, and examples that
 * occur more than once. Knows no files and no flags.
 */
import { createHash } from "node:crypto";
import type { EncodedExample } from "../../data/encode.ts";
import type { ExamplePlace } from "../../data/examples.ts";
import { type OverlongPolicy, fitLength } from "../data/fit-length.ts";

/** Lengths of sequences in tokens. */
export interface Lengths {
  readonly least: number;
  readonly median: number;
  readonly percentile95: number;
  readonly most: number;
}

/** An example, and the earlier one that it equals. */
export interface Repetition extends ExamplePlace {
  readonly of: ExamplePlace;
}

export interface SetCheck {
  /** Sequences of tokens. An example with several references has one for each. */
  readonly sequences: number;
  readonly tokens: number;
  /** Tokens that the loss counts, before anything is cut. */
  readonly predictedTokens: number;
  readonly lengths: Lengths;
  /** Sequences above the maximum length, and the predicted tokens that they lose. */
  readonly overlong: number;
  readonly lostTokens: number;
  /** Sequences in which the loss counts no token at any length, and those that are cut before the first such token. */
  readonly unlearnt: number;
  readonly cutBeforeAnswer: number;
  /** Number of sequences that equal an earlier one of the set, and the first few. */
  readonly repeated: number;
  readonly repetitions: readonly Repetition[];
}

/** Held-out sequences that the training data contains. */
export interface LeakCheck {
  /** Equal in all tokens. */
  readonly leaked: number;
  readonly leaks: readonly Repetition[];
  /** The same tokens before the first predicted one, with another answer. */
  readonly samePrompt: number;
}

/** Number of repetitions that are named. */
const NAMED = 5;

/** @param sequences at least one */
export function checkSet(sequences: readonly EncodedExample[], maxLength: number, policy: OverlongPolicy): SetCheck {
  const fitted = fitLength(sequences, maxLength, policy);
  const predictedTokens = sumOf(sequences, ({ numLossTokens }) => numLossTokens);
  const keptTokens = sumOf(fitted.examples, ({ numLossTokens }) => numLossTokens);
  const repetitions = repetitionsIn(sequences);
  return {
    sequences: sequences.length,
    tokens: sumOf(sequences, ({ ids }) => ids.length),
    predictedTokens,
    lengths: lengthsOf(sequences),
    overlong: sequences.filter(({ lossMask }) => lossMask.lastIndexOf(1) + 1 > maxLength).length,
    lostTokens: predictedTokens - keptTokens,
    unlearnt: fitted.numUnlearnt,
    cutBeforeAnswer: fitted.numEmpty,
    repeated: repetitions.length,
    repetitions: repetitions.slice(0, NAMED),
  };
}

export function checkLeaks(training: readonly EncodedExample[], heldOut: readonly EncodedExample[]): LeakCheck {
  const whole = placesBy(training, wholeKey);
  const prompts = placesBy(training, promptKey);
  const leaks = heldOut.flatMap((one) => repetitionOf(one, whole.get(wholeKey(one))));
  const known = heldOut.filter((one) => prompts.has(promptKey(one))).length;
  return { leaked: leaks.length, leaks: leaks.slice(0, NAMED), samePrompt: known - leaks.length };
}

function repetitionsIn(sequences: readonly EncodedExample[]): readonly Repetition[] {
  const seen = new Map<string, ExamplePlace>();
  return sequences.flatMap((one) => {
    const key = wholeKey(one);
    const earlier = seen.get(key);
    if (earlier === undefined) seen.set(key, one);
    return repetitionOf(one, earlier);
  });
}

function repetitionOf({ file, line }: ExamplePlace, of: ExamplePlace | undefined): readonly Repetition[] {
  return of === undefined ? [] : [{ file, line, of: { file: of.file, line: of.line } }];
}

function placesBy(
  sequences: readonly EncodedExample[],
  keyOf: (one: EncodedExample) => string,
): ReadonlyMap<string, ExamplePlace> {
  return new Map(sequences.map((one) => [keyOf(one), one]));
}

/** Hashes instead of the ids themselves: memory stays bounded. */
function wholeKey({ ids, lossMask }: EncodedExample): string {
  return createHash("sha256").update(ids).update(lossMask).digest("base64");
}

function promptKey({ ids, lossMask }: EncodedExample): string {
  const end = lossMask.indexOf(1);
  return createHash("sha256")
    .update(end < 0 ? ids : ids.subarray(0, end))
    .digest("base64");
}

function lengthsOf(sequences: readonly EncodedExample[]): Lengths {
  const sorted = sequences.map(({ ids }) => ids.length).sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { least: at(0), median: at(0.5), percentile95: at(0.95), most: at(1) };
}

function sumOf<T>(items: readonly T[], valueOf: (item: T) => number): number {
  return items.reduce((sum, item) => sum + valueOf(item), 0);
}
