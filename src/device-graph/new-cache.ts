/**
 * What a step adds to the KV cache, read out of the present one: for caches in the host's memory. ONNX Runtime's binding (1.30) copies every
 * fetched output, so a cache that is fetched crosses memory in every step; the present one stays inside, and its owner writes the new positions
 * behind the past. Knows nothing of caches.
 */
import { type Var, fixedDim } from "../graph/graph.ts";
import { gatherND } from "../graph/ops/indexing.ts";
import { expand, unsqueeze } from "../graph/ops/shaping.ts";
import { tokenPositions } from "./plain-cache-attention.ts";

/**
 * @param presents keys or values of every layer after the step, [B,K,S,D]
 * @param tokens [B,T,…]
 * @param lastPositions int32 [B]: the index of each row's last token
 * @returns the step's own part of each, [B,K,T,D]
 */
export function newPositions(presents: readonly Var[], tokens: Var, lastPositions: Var): readonly Var[] {
  const numKvHeads = fixedDim("newPositions", "the number of heads", presents[0]?.shape[1]);
  const positions = unsqueeze(tokenPositions(tokens, lastPositions), [1, 3]); // [B,1,T,1]
  const indices = expand(positions, [1, numKvHeads, 1, 1]);
  return presents.map((present) => gatherND(present, indices, 2));
}
