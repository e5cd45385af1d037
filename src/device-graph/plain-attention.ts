/**
 * Attention over the KV cache in plain operators, for devices whose fused kernel is wrong. Inputs and outputs are those
 * of `groupQueryAttention`. ScatterElements writes the new positions, in place where a result is fetched into its own
 * input. Query heads that share a key head are folded into one product. The operators come first, then the pass that
 * replaces a fused node by them and keeps its names. Knows nothing of devices. Pure.
 */
import type { OnnxGraph, OnnxNode } from "../formats/onnx-proto.ts";
import { fixedDim, Graph, type Var } from "../graph/graph.ts";
import { type CachedAttention, type CachedResult, rotaryEmbedding } from "../graph/ops/attention.ts";
import { and, cast, div, less, lessOrEqual, mul, sub, tanh, where } from "../graph/ops/elementwise.ts";
import { indicesAlong, scatterElements, sizeOf } from "../graph/ops/indexing.ts";
import { matMul } from "../graph/ops/linear.ts";
import { softmax } from "../graph/ops/norm.ts";
import { expand, expandAs, reshape, split, transpose, unsqueeze } from "../graph/ops/shaping.ts";
import { type Dim, product } from "../graph/shape.ts";
import { graphPart, type GraphPart } from "./graph-part.ts";

/** A score so low that its weight is 0. WebGPU's language has no literal for infinity. */
const UNSEEN = -3.4e38;

/**
 * Causal grouped-query attention. The cache may be float16. Products over it are then float16 too, but never the
 * softmax between them.
 * @returns output float32 [B,T,H·D], and the cache with the new positions written
 */
function plainCachedAttention(options: CachedAttention): CachedResult {
  const { query, pastKey, pastValue, numHeads, numKvHeads, rotary } = options;
  const headSize = fixedDim("plainCachedAttention", "the head size", pastKey.shape[3]);
  const [q, k, v] = options.key
    ? ([query, options.key, options.value!] as const) // they come together
    : (split(
        query,
        [numHeads, numKvHeads, numKvHeads].map((heads) => heads * headSize),
        2,
      ) as [Var, Var, Var]);
  const positions = tokenPositions(query, options.lastPositions); // int64 [B,T]
  const turned = (x: Var, heads: number): Var =>
    rotary ? rotaryEmbedding(x, positions, rotary, { numHeads: heads, rotaryDim: headSize, headSize }) : x;
  const byHead = (x: Var): Var => {
    const [b, t] = x.shape as readonly [Dim, Dim];
    return cast(transpose(reshape(x, [b, t, numKvHeads, headSize]), [0, 2, 1, 3]), pastKey.dtype); // [B,K,T,D]
  };
  const newKeys = byHead(turned(k, numKvHeads));
  const at = expandAs(cast(unsqueeze(positions, [1, 3]), "int32"), newKeys);
  const presentKey = scatterElements(pastKey, at, newKeys, 2);
  const presentValue = scatterElements(pastValue, at, byHead(v), 2);
  const weights = attentionWeights(turned(q, numHeads), presentKey, positions, options);
  return { output: weighted(weights, presentValue, options), presentKey, presentValue };
}

/** Position of every token of the step: int64 [B,T], ending with each row's last position. @param tokens [B,T,…] */
export function tokenPositions(tokens: Var, lastPositions: Var): Var {
  // [T]: T−1…0
  const behind = sub(sub(sizeOf(tokens, 1), tokens.graph.constant("int64", [], [1])), indicesAlong(tokens, 1));
  return sub(unsqueeze(cast(lastPositions, "int64"), 1), behind);
}

/** softmax(cap(scale · q kᵀ)) over the positions seen: float32 [B,K,H/K·T,S]. */
function attentionWeights(query: Var, key: Var, positions: Var, options: CachedAttention): Var {
  const { graph } = query;
  const { numHeads, numKvHeads, scale, softCap, window } = options;
  const [b, t] = positions.shape as readonly [Dim, Dim];
  const headSize = key.shape[3] as number;
  const group = numHeads / numKvHeads;
  const folded = product([group, t]);
  const scaled = mul(query, graph.constant("float32", [], [scale]));
  // The queries are transposed instead of the keys, of which there are more.
  const heads = transpose(reshape(scaled, [b, t, numKvHeads, group, headSize]), [0, 2, 4, 3, 1]); // [B,K,D,H/K,T]
  const columns = cast(reshape(heads, [b, numKvHeads, headSize, folded]), key.dtype);
  const scores = transpose(cast(matMul(key, columns), "float32"), [0, 1, 3, 2]); // [B,K,H/K·T,S]
  const cap = graph.constant("float32", [], [softCap]);
  const capped = softCap === 0 ? scores : mul(tanh(div(scores, cap)), cap);
  const place = cast(unsqueeze(indicesAlong(key, 2), 0), "int32"); // [1,S]
  const repeated = reshape(expand(unsqueeze(positions, 1), [1, group, 1]), [b, folded]);
  const own = cast(unsqueeze(repeated, [1, 3]), "int32"); // [B,1,H/K·T,1]
  const past = lessOrEqual(place, own);
  const width = cast(graph.constant("int64", [], [window]), "int32");
  const seen = window < 0 ? past : and(past, less(sub(own, place), width));
  return softmax(where(seen, capped, graph.constant("float32", [], [UNSEEN])), -1);
}

/**
 * The weighted sum of values: float32 [B,T,H·D]. Positions after a row's end belong to another row, so they must not
 * count even with weight 0.
 */
function weighted(weights: Var, value: Var, { query, lastPositions, numHeads, numKvHeads }: CachedAttention): Var {
  const { graph } = value;
  const [b, t] = query.shape as readonly [Dim, Dim];
  const headSize = value.shape[3] as number;
  const place = cast(unsqueeze(indicesAlong(value, 2), 1), "int32"); // [S,1]
  const isOwn = lessOrEqual(place, unsqueeze(lastPositions, [1, 2, 3])); // [B,1,S,1]
  const own = where(isOwn, value, cast(graph.constant("float32", [], [0]), value.dtype));
  const sums = cast(matMul(cast(weights, value.dtype), own), "float32"); // [B,K,H/K·T,D]
  const heads = transpose(reshape(sums, [b, numKvHeads, numHeads / numKvHeads, t, headSize]), [0, 3, 1, 2, 4]);
  return reshape(heads, [b, t, numHeads * headSize]);
}

/**
 * @param node a GroupQueryAttention of `graph`, as serving graphs have it
 * @param cacheType type of keys and values in the cache
 */
export function attentionAsOperators(node: OnnxNode, graph: OnnxGraph, cacheType: "float32" | "float16"): GraphPart {
  const part = new Graph("attention");
  const numberOf = (name: string): number => {
    const found = node.attribute.find((one) => one.name === name);
    return Number(found?.f ?? found?.i ?? 0);
  };
  const [numHeads, numKvHeads] = [numberOf("num_heads"), numberOf("kv_num_heads")];
  const headSize = headSizeOf(node, graph);
  const [query, key, value, pastKey, pastValue, lastPositions, totalLength, cos, sin] = node.input;
  const input = (name: string | undefined, ...[dtype, shape]: InputType): Var => part.input(name ?? "", dtype, shape);
  const tokens = (name: string | undefined, heads: number): Var => input(name, "float32", ["B", "T", heads * headSize]);
  const cache: InputType = [cacheType, ["B", numKvHeads, "S", headSize]];
  const table: InputType = ["float32", ["P", headSize / 2]];
  const made = plainCachedAttention({
    ...(key && value
      ? { query: tokens(query, numHeads), key: tokens(key, numKvHeads), value: tokens(value, numKvHeads) }
      : { query: tokens(query, numHeads + 2 * numKvHeads) }),
    pastKey: input(pastKey, ...cache),
    pastValue: input(pastValue, ...cache),
    lastPositions: input(lastPositions, "int32", ["B"]),
    totalLength: input(totalLength, "int32", []),
    rotary: numberOf("do_rotary") === 1 ? { cos: input(cos, ...table), sin: input(sin, ...table) } : null,
    numHeads,
    numKvHeads,
    scale: numberOf("scale"),
    window: numberOf("local_window_size"),
    softCap: numberOf("softcap"),
  });
  for (const result of [made.output, made.presentKey, made.presentValue]) part.output(result);
  return graphPart(part, node.name, node.output);
}

type InputType = Parameters<Graph["input"]> extends [string, ...infer Rest] ? Rest : never;

/** Size of a head in the cache of a GroupQueryAttention of `graph`. */
export function headSizeOf(node: OnnxNode, graph: OnnxGraph): number {
  const past = graph.input.find(({ name }) => name === node.input[3]);
  const size = past?.type?.tensorType?.shape?.dim[3]?.dimValue;
  if (size === undefined) throw new Error(`internal: the cache of ${node.name} has no head size`);
  return size;
}
