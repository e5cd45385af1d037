/**
 * The content of requests, drawn from distributions by a seed: lengths of prompts and answers, adapters, shared
 * prefixes. Pure; knows nothing of servers. The same workload and seed give the same requests on every machine.
 */
// Indices are bounded by their loops, hence `!`.
import { type RandomState, nextNormal, nextUint32, seedRandom } from "../../src/tensor/random.ts";
import { randomIds } from "../inputs/random-values.ts";

/** A number of tokens. Lognormal: `sigma` is the deviation of the logarithm; draws beyond `max` are `max`. */
export type LengthDraw =
  | { readonly kind: "fixed"; readonly tokens: number }
  | { readonly kind: "uniform"; readonly min: number; readonly max: number }
  | { readonly kind: "lognormal"; readonly median: number; readonly sigma: number; readonly max: number };

/** The adapter that a request names: none, one for all, each in turn, or any with a probability ∝ 1 / rank^exponent. */
export type AdapterDraw =
  | { readonly kind: "none" }
  | { readonly kind: "one"; readonly name: string }
  | { readonly kind: "each"; readonly names: readonly string[] }
  | { readonly kind: "zipf"; readonly names: readonly string[]; readonly exponent: number };

/** The first `tokens` ids of a prompt, one of `groups` such beginnings; they count as part of the prompt's length. */
export interface PrefixShare {
  readonly tokens: number;
  readonly groups: number;
}

export interface Workload {
  readonly promptTokens: LengthDraw;
  readonly answerTokens: LengthDraw;
  readonly adapters: AdapterDraw;
  readonly prefix?: PrefixShare;
  /** Prompt ids lie below. */
  readonly vocabSize: number;
  readonly seed: number;
}

/** One request before it is sent. */
export interface PlannedRequest {
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly adapter: string | null;
}

/** The first `count` requests of a workload. */
export function planRequests(workload: Workload, count: number): readonly PlannedRequest[] {
  const random = seedRandom(workload.seed);
  const prefixes = Array.from({ length: workload.prefix?.groups ?? 0 }, () =>
    randomIds(workload.prefix?.tokens ?? 0, workload.vocabSize, random),
  );
  const adapterOf = adapterDrawer(workload.adapters, random);
  return Array.from({ length: count }, (_, index) => {
    const prefix = prefixes.length > 0 ? prefixes[nextUint32(random) % prefixes.length]! : [];
    const numIds = drawLength(workload.promptTokens, random);
    const own = randomIds(Math.max(1, numIds - prefix.length), workload.vocabSize, random);
    return {
      promptIds: [...prefix, ...own],
      maxTokens: drawLength(workload.answerTokens, random),
      adapter: adapterOf(index),
    };
  });
}

/** At least one token. */
function drawLength(draw: LengthDraw, random: RandomState): number {
  switch (draw.kind) {
    case "fixed":
      return draw.tokens;
    case "uniform":
      return draw.min + (nextUint32(random) % (draw.max - draw.min + 1));
    case "lognormal": {
      const length = Math.round(draw.median * Math.exp(draw.sigma * nextNormal(random)));
      return Math.min(draw.max, Math.max(1, length));
    }
  }
}

function adapterDrawer(draw: AdapterDraw, random: RandomState): (index: number) => string | null {
  switch (draw.kind) {
    case "none":
      return () => null;
    case "one":
      return () => draw.name;
    case "each":
      return (index) => draw.names[index % draw.names.length] ?? null;
    case "zipf": {
      const cumulative = zipfCumulative(draw.names.length, draw.exponent);
      return () => draw.names[firstAtLeast(cumulative, unit(random))] ?? null;
    }
  }
}

/** Probabilities ∝ 1 / rank^exponent, summed up. */
function zipfCumulative(count: number, exponent: number): Float64Array {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 1; rank <= count; rank++) sums[rank - 1] = sum += rank ** -exponent;
  return sums.map((value) => value / sum);
}

function firstAtLeast(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Uniform in (0, 1]. */
function unit(random: RandomState): number {
  return (nextUint32(random) + 1) / 2 ** 32;
}

/** When each of `count` requests arrives, in seconds: exponential gaps of mean 1 / rate (a Poisson process). */
export function poissonArrivals(count: number, ratePerSecond: number, seed: number): readonly number[] {
  const random = seedRandom(seed);
  let now = 0;
  return Array.from({ length: count }, () => (now -= Math.log(unit(random)) / ratePerSecond));
}
