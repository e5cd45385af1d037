/** Attention over a KV cache and rotary positions. Source: com.microsoft GroupQueryAttention, RotaryEmbedding. */
import { type Var, expectDtype, expectShape, fail, fixedDim, graphOf } from "../graph.ts";
import { formatShape } from "../shape.ts";

export interface CachedAttention {
  /**
   * q, k and v side by side, float32 [B,T,(H+2K)·D]; or q alone [B,T,H·D] when `key` and `value` [B,T,K·D] are given.
   */
  readonly query: Var;
  readonly key?: Var;
  readonly value?: Var;
  /** float32 [B,K,S,D]. Where input and output share memory, only new positions are written. */
  readonly pastKey: Var;
  readonly pastValue: Var;
  /** int32 [B]: the index of each row's last token, its length − 1. */
  readonly lastPositions: Var;
  /** int32 scalar: the greatest length in the batch. */
  readonly totalLength: Var;
  /** float32 [positions, D/2]; null: q and k already contain positions, or there are none. */
  readonly rotary: { readonly cos: Var; readonly sin: Var } | null;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly scale: number;
  /** Query i sees key j when i − window < j ≤ i; −1: all earlier keys. */
  readonly window: number;
  /** Scores are capped to ±cap by tanh; 0: no cap. */
  readonly softCap: number;
}

export interface CachedResult {
  /** float32 [B,T,H·D] */
  readonly output: Var;
  /** The cache with the new positions written. */
  readonly presentKey: Var;
  readonly presentValue: Var;
}

/** Causal grouped-query attention. */
export function groupQueryAttention(options: CachedAttention): CachedResult {
  const { query, key = null, value = null, pastKey, pastValue, numHeads, numKvHeads, rotary } = options;
  const op = "groupQueryAttention";
  expectDtype(op, "query", query, "float32");
  const headSize = fixedDim(op, "the head size", pastKey.shape[3]);
  const [b, t] = query.shape;
  const isPacked = !key;
  expectShape(op, "query", query, [b!, t!, (isPacked ? numHeads + 2 * numKvHeads : numHeads) * headSize]);
  for (const part of [key, value]) if (part) expectShape(op, part.name, part, [b!, t!, numKvHeads * headSize]);
  expectShape(op, "the value cache", pastValue, pastKey.shape);
  if (pastKey.shape[1] !== numKvHeads)
    fail(op, `the cache is ${formatShape(pastKey.shape)}, wanted ${numKvHeads} heads`);
  expectDtype(op, "lastPositions", options.lastPositions, "int32");
  const inputs = [query, key, value, pastKey, pastValue, options.lastPositions, options.totalLength];
  const attributes = {
    num_heads: numHeads,
    kv_num_heads: numKvHeads,
    scale: { float: options.scale },
    local_window_size: options.window,
    softcap: { float: options.softCap },
    do_rotary: rotary ? 1 : 0,
  };
  const results = [
    { dtype: query.dtype, shape: [b!, t!, numHeads * headSize] },
    { dtype: pastKey.dtype, shape: pastKey.shape },
    { dtype: pastKey.dtype, shape: pastKey.shape },
  ];
  const graph = graphOf(query, pastKey);
  const operands = rotary ? [...inputs, rotary.cos, rotary.sin] : inputs;
  const [output, presentKey, presentValue] = graph.node(
    "GroupQueryAttention",
    operands,
    results,
    attributes,
    "com.microsoft",
  );
  return { output: output!, presentKey: presentKey!, presentValue: presentValue! };
}

/**
 * Rotary positions on heads: x [B,T,heads·D], positionIds int64 [B,T], tables [positions, R/2]. The first R values of
 * each head are rotated (R = D unless `rotaryDim` is less); pairs are (i, i + R/2), or (2i, 2i + 1) where
 * `isInterleaved`.
 */
export function rotaryEmbedding(
  x: Var,
  positionIds: Var,
  tables: { readonly cos: Var; readonly sin: Var },
  heads: {
    readonly numHeads: number;
    readonly rotaryDim: number;
    readonly headSize: number;
    readonly isInterleaved?: boolean;
  },
): Var {
  expectDtype("rotaryEmbedding", "positionIds", positionIds, "int64");
  const [b, t] = positionIds.shape;
  expectShape("rotaryEmbedding", "x", x, [b!, t!, heads.numHeads * heads.headSize]);
  const isPartial = heads.rotaryDim !== heads.headSize;
  const attributes = {
    interleaved: heads.isInterleaved ? 1 : 0,
    num_heads: heads.numHeads,
    ...(isPartial ? { rotary_embedding_dim: heads.rotaryDim } : {}),
  };
  const operands = [x, positionIds, tables.cos, tables.sin];
  return graphOf(x).node(
    "RotaryEmbedding",
    operands,
    [{ dtype: x.dtype, shape: x.shape }],
    attributes,
    "com.microsoft",
  )[0]!;
}
