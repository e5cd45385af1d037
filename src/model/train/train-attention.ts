/**
 * Attention of the training graph, built from differentiable operators, over whole sequences without a cache. Query
 * heads that share a key head are folded into the length, [B,K,g·T,D]. This is one product for each key head, and the
 * gradients of keys and values sum over the group. Sizes may be names, so that one session accepts batches of any
 * length.
 */
import { computeAgain } from "../../autodiff/again.ts";
import type { Graph, Var } from "../../graph/graph.ts";
import { add, and, div, less, lessOrEqual, mul, sub, tanh, where } from "../../graph/ops/elementwise.ts";
import { indicesAlong } from "../../graph/ops/indexing.ts";
import { fusedMatMul, matMul } from "../../graph/ops/linear.ts";
import { softmax } from "../../graph/ops/norm.ts";
import { reshape, reshapeAs, reshapeLike, splitRows, transpose, unsqueeze } from "../../graph/ops/shaping.ts";
import { type Dim, product, sameDim } from "../../graph/shape.ts";
import type { Attend } from "../attention.ts";
import { preparedHeads, rotaryWeights } from "../heads.ts";
import type { ModelConfig } from "../config/model-config.ts";

/** The tokens and their positions. Each row is one sequence. */
export interface SequenceVars {
  /** int64 [B,T] */
  readonly inputIds: Var;
  /** int64 [B,T] */
  readonly positionIds: Var;
}

/**
 * Returns the function that builds each layer's attention. @param
 * maxPositions rows of the rotary tables: bounds the positions fed
 */
export function differentiableAttention(
  graph: Graph,
  config: ModelConfig,
  maxPositions: number,
  sequence: SequenceVars,
): Attend {
  const { inputIds, positionIds } = sequence;
  const rotary = rotaryWeights(graph, { ...config, maxPositions });
  const maskOf = onceFor((window) => causalMask(inputIds, window));
  return (layer, qkv, tensor) => {
    const prepared = preparedHeads({ config, layer, qkv, positionIds, rotary, tensor });
    const { query, key, value } = headsLike(inputIds, prepared, config);
    return attended({ query, key, value }, maskOf(config.windows[layer] ?? null), config);
  };
}

/** Queries, keys and values of some tokens. */
export interface HeadVars {
  readonly query: Var;
  readonly key: Var;
  readonly value: Var;
}

/** @param ids [B,T] of the tokens @param flat float32 [B·T,heads·D] @returns float32 [B,heads,T,D] */
export function headsLike(ids: Var, { query, key, value }: HeadVars, config: ModelConfig): HeadVars {
  const byHead = (x: Var, heads: number): Var => transpose(reshapeLike(x, ids, [heads, config.headSize]), [0, 2, 1, 3]);
  const { numHeads, numKvHeads } = config;
  return { query: byHead(query, numHeads), key: byHead(key, numKvHeads), value: byHead(value, numKvHeads) };
}

/** @param mask of `ScoreOptions` @returns float32 [B·T,H·D] */
export function attended({ query, key, value }: HeadVars, mask: Var, config: ModelConfig): Var {
  const { attentionScale, scoreSoftCap } = config;
  const heads = groupedAttention(query, key, value, { mask, scale: attentionScale, softCap: scoreSoftCap });
  const [b, h, t, d] = heads.shape as readonly [Dim, Dim, Dim, Dim];
  return reshape(transpose(heads, [0, 2, 1, 3]), [product([b, t]), product([h, d])]);
}

/** Remembers the masks by their windows, because most layers share one. */
export function onceFor(maskOf: (window: number | null) => Var): (window: number | null) => Var {
  const masks = new Map<number | null, Var>();
  return (window) => {
    const mask = masks.get(window) ?? maskOf(window);
    masks.set(window, mask);
    return mask;
  };
}

/** The rule that converts scores to weights. */
export interface ScoreOptions {
  /** float32, broadcasts to [B,K,H/K,T,S]: 0 where a key is seen, −∞ where it is not. */
  readonly mask: Var;
  readonly scale: number;
  /** Scores are capped to ±softCap by tanh; 0: no cap. */
  readonly softCap: number;
}

/**
 * softmax(scale · q kᵀ + mask) v; query head h reads key head ⌊h·K/H⌋.
 * @param query float32 [B,H,T,D]
 * @param key float32 [B,K,S,D]
 * @param value float32 [B,K,S,D]
 * @returns float32 [B,H,T,D]
 */
export function groupedAttention(query: Var, key: Var, value: Var, { mask, scale, softCap }: ScoreOptions): Var {
  const [b, , t] = query.shape as readonly [Dim, Dim, Dim];
  const [numHeads, headSize] = [query.shape[1] as number, query.shape[3] as number];
  const [numKvHeads, s] = [key.shape[1] as number, key.shape[2] as Dim];
  const group = numHeads / numKvHeads;
  const folded = product([group, t]);
  const rows = reshape(query, [b, numKvHeads, folded, headSize]);
  const cap = query.graph.constant("float32", [], [softCap]);
  const weightsOf = (scores: Var): readonly [shares: Var, weights: Var] => {
    const capped = softCap === 0 ? scores : mul(tanh(div(scores, cap)), cap);
    const byQuery = sameDim(t, s) ? reshape(capped, [b, numKvHeads, group, t, s]) : splitRows(capped, group);
    const shares = softmax(add(byQuery, mask), -1);
    return [shares, reshapeAs(shares, scores)];
  };
  const scoresOf = (of: Var): Var => fusedMatMul(of, key, { transB: true, alpha: scale });
  const [shares, weights] = weightsOf(scoresOf(rows));
  // They are the largest values of a layer, and few of its operations.
  let second: readonly [Var, Var] | null = null;
  const secondTime = (zero: Var) => (second ??= weightsOf(scoresOf(add(rows, zero))));
  computeAgain(shares, (zero) => secondTime(zero)[0]);
  computeAgain(weights, (zero) => secondTime(zero)[1]);
  return reshape(matMul(weights, value), [b, numHeads, t, headSize]);
}

/** Query i sees key j when i − window < j ≤ i: float32 [T,T]. @param ids the last dimension is T */
export function causalMask(ids: Var, window: number | null): Var {
  const index = indicesAlong(ids, -1);
  const [query, key] = [unsqueeze(index, 1), unsqueeze(index, 0)]; // [T,1], [1,T]
  const past = lessOrEqual(key, query);
  return maskWhere(window === null ? past : and(past, isNear(query, key, window)));
}

/** Whether a key lies less than `window` positions before a query: bool. */
export function isNear(query: Var, key: Var, window: number): Var {
  return less(sub(query, key), query.graph.constant("int64", [], [window]));
}

/** 0 where a key is seen, −∞ where it is not: float32. */
export function maskWhere(seen: Var): Var {
  const { graph } = seen;
  return where(seen, graph.constant("float32", [], [0]), graph.constant("float32", [], [-Infinity]));
}
