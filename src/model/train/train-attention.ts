/**
 * Attention of the training graph, built from differentiable operators, over whole sequences without a cache. Query
 * heads that share a key head are folded into the length, [B,K,g·T,D]. This is one product for each key head, and the
 * gradients of keys and values sum over the group. Sizes may be names, so that one session accepts batches of any
 * length.
 */
import type { Graph, Var } from "../../graph/graph.ts";
import { add, and, div, equal, less, lessOrEqual, mul, sub, tanh, where } from "../../graph/ops/elementwise.ts";
import { indicesAlong } from "../../graph/ops/indexing.ts";
import { fusedMatMul, matMul } from "../../graph/ops/linear.ts";
import { softmax } from "../../graph/ops/norm.ts";
import { reshape, reshapeLike, transpose, unsqueeze } from "../../graph/ops/shaping.ts";
import { type Dim, product } from "../../graph/shape.ts";
import type { Attend } from "../attention.ts";
import { preparedHeads, rotaryWeights } from "../heads.ts";
import type { ModelConfig } from "../config/model-config.ts";

/** The positions and segments of the tokens. */
export interface SequenceVars {
  /** int64 [B,T] */
  readonly inputIds: Var;
  /** int64 [B,T] */
  readonly positionIds: Var;
  /** int64 [B,T]: tokens only see their own segment; null: each row is one segment. */
  readonly segmentIds: Var | null;
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
  const { headSize, numHeads, numKvHeads, attentionScale, scoreSoftCap } = config;
  const rotary = rotaryWeights(graph, { ...config, maxPositions });
  const masks = new Map<number | null, Var>();
  const maskOf = (window: number | null): Var => {
    const mask = masks.get(window) ?? attentionMask(sequence, window);
    masks.set(window, mask);
    return mask;
  };
  // [B,heads,T,D]
  const byHead = (x: Var, heads: number): Var => transpose(reshapeLike(x, inputIds, [heads, headSize]), [0, 2, 1, 3]);
  return (layer, qkv, tensor) => {
    const { query, key, value } = preparedHeads({ config, layer, qkv, positionIds, rotary, tensor });
    const heads = groupedAttention(byHead(query, numHeads), byHead(key, numKvHeads), byHead(value, numKvHeads), {
      mask: maskOf(config.windows[layer] ?? null),
      scale: attentionScale,
      softCap: scoreSoftCap,
    });
    return reshape(transpose(heads, [0, 2, 1, 3]), [product(inputIds.shape), numHeads * headSize]);
  };
}

/** The rule that converts scores to weights. */
export interface ScoreOptions {
  /** float32, broadcasts to [B,K,H/K,T,T]: 0 where a key is seen, −∞ where it is not. */
  readonly mask: Var;
  readonly scale: number;
  /** Scores are capped to ±softCap by tanh; 0: no cap. */
  readonly softCap: number;
}

/**
 * softmax(scale · q kᵀ + mask) v; query head h reads key head ⌊h·K/H⌋.
 * @param query float32 [B,H,T,D]
 * @param key float32 [B,K,T,D]
 * @param value float32 [B,K,T,D]
 * @returns float32 [B,H,T,D]
 */
export function groupedAttention(query: Var, key: Var, value: Var, { mask, scale, softCap }: ScoreOptions): Var {
  const [b, , t] = query.shape as readonly [Dim, Dim, Dim];
  const [numHeads, headSize] = [query.shape[1] as number, query.shape[3] as number];
  const numKvHeads = key.shape[1] as number;
  const group = numHeads / numKvHeads;
  const folded = product([group, t]);
  const scores = fusedMatMul(reshape(query, [b, numKvHeads, folded, headSize]), key, { transB: true, alpha: scale });
  const cap = query.graph.constant("float32", [], [softCap]);
  const capped = softCap === 0 ? scores : mul(tanh(div(scores, cap)), cap);
  const masked = add(reshape(capped, [b, numKvHeads, group, t, t]), mask);
  const weights = reshape(softmax(masked, -1), [b, numKvHeads, folded, t]);
  return reshape(matMul(weights, value), [b, numHeads, t, headSize]);
}

/** Query i sees key j of its segment when i − window < j ≤ i: float32 [T,T], or [B,1,1,T,T] with segments. */
export function attentionMask({ inputIds, segmentIds }: SequenceVars, window: number | null): Var {
  const { graph } = inputIds;
  const index = indicesAlong(inputIds, 1);
  const [query, key] = [unsqueeze(index, 1), unsqueeze(index, 0)]; // [T,1], [1,T]
  const past = lessOrEqual(key, query);
  const near = window === null ? past : and(past, less(sub(query, key), graph.constant("int64", [], [window])));
  const seen = segmentIds
    ? unsqueeze(and(equal(unsqueeze(segmentIds, 2), unsqueeze(segmentIds, 1)), near), [1, 2])
    : near;
  return where(seen, graph.constant("float32", [], [0]), graph.constant("float32", [], [-Infinity]));
}
