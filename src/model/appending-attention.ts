/**
 * Attention for a cache in the host's memory: the new keys and values are results of their own, which whoever owns the cache writes behind
 * the past. ONNX Runtime's binding (1.30) copies every fetched output, so a cache that is fetched crosses memory in every step; the
 * cache that attention makes of past and new is thrown away instead. Knows nothing of caches.
 */
import { type CachedAttention, type CachedResult, groupQueryAttention } from "../graph/ops/attention.ts";
import { cast, identity } from "../graph/ops/elementwise.ts";
import type { Var } from "../graph/graph.ts";
import { turnedHeads } from "./heads.ts";
import { plainCachedAttention } from "./plain-cache-attention.ts";

export interface AppendingResult extends CachedResult {
  /** As the cache holds them, in its type: [B,T,K·D]. */
  readonly newKey: Var;
  readonly newValue: Var;
}

/**
 * @param positionIds int64 [B,T]; only read where attention turns heads
 * @param isPlain whether it is written out in plain operators
 */
export function appendingAttention(
  options: CachedAttention,
  positionIds: Var | null,
  isPlain: boolean,
): AppendingResult {
  const heads = turnedHeads(options, positionIds);
  const attend = isPlain ? plainCachedAttention : groupQueryAttention;
  const result = attend({ ...options, ...heads, rotary: null });
  // A value that comes from outside of this part has its name already.
  const asResult = (x: Var): Var => (x === options.key || x === options.value ? identity(x) : x);
  const kept = (x: Var): Var => asResult(cast(x, options.pastKey.dtype));
  return { ...result, newKey: kept(heads.key), newValue: kept(heads.value) };
}
