/**
 * Attention of packed training graphs. The tokens that all sequences of a batch begin with are computed once, as a
 * prefix. The rows hold the rest. A row can hold several sequences, and its sequences can share their beginnings too.
 * Every token sees exactly the tokens that it would see if its sequence were alone. All tokens together, first those of
 * the prefix and then row by row, are the dimension "tokens".
 */
import type { Graph, Var } from "../../graph/graph.ts";
import { and, less, lessOrEqual } from "../../graph/ops/elementwise.ts";
import { indicesAlong } from "../../graph/ops/indexing.ts";
import { concat, repeatRow, reshape, splitLike, unsqueeze } from "../../graph/ops/shaping.ts";
import { product } from "../../graph/shape.ts";
import type { Attend } from "../attention.ts";
import { preparedHeads, rotaryWeights } from "../heads.ts";
import type { ModelConfig } from "../config/model-config.ts";
import {
  type HeadVars,
  type SequenceVars,
  attended,
  causalMask,
  headsLike,
  isNear,
  maskWhere,
  onceFor,
} from "./train-attention.ts";

export interface PackedVars extends SequenceVars {
  /** int64 [prefix] */
  readonly prefixIds: Var;
  /** int64 [B,keys]: see KEY_ENDS. */
  readonly keyEnds: Var;
}

/** prefix + B·T */
const ALL_TOKENS = "tokens";
/** prefix + T */
const ROW_KEYS = "keys";

const flat = (ids: Var): Var => reshape(ids, [product(ids.shape)]);

/**
 * Of all tokens: ids int64 [tokens], positions int64 [tokens,1], and each layer's attention.
 * @param maxPositions as unpacked
 */
export function packedTokens(graph: Graph, config: ModelConfig, maxPositions: number, packed: PackedVars) {
  const { prefixIds, inputIds, positionIds } = packed;
  const places = concat([indicesAlong(prefixIds, 0), flat(positionIds)], 0, ALL_TOKENS);
  const positions = unsqueeze(places, 1); // as rows of one: RotaryEmbedding refuses rows longer than its tables
  const ids = concat([prefixIds, flat(inputIds)], 0, ALL_TOKENS);
  return { ids, positions, attend: packedAttention(graph, config, maxPositions, packed, positions) };
}

function packedAttention(
  graph: Graph,
  config: ModelConfig,
  maxPositions: number,
  packed: PackedVars,
  positionIds: Var,
): Attend {
  const { prefixIds, inputIds } = packed;
  const rotary = rotaryWeights(graph, { ...config, maxPositions });
  const maskOf = onceFor((window) => packedMask(packed, window));
  const prefixMaskOf = onceFor((window) => causalMask(prefixIds, window));
  const own = flat(inputIds);
  const parts = (x: Var): [Var, Var] => splitLike(x, [prefixIds, own], 0) as [Var, Var];
  const after = (shared: Var, rest: Var): Var => concat([repeatRow(shared, rest), rest], 2, ROW_KEYS);
  return (layer, qkv, tensor) => {
    const window = config.windows[layer] ?? null;
    const { query, key, value } = preparedHeads({ config, layer, qkv, positionIds, rotary, tensor });
    const [[prefixQuery, ownQuery], [prefixKey, ownKey], [prefixValue, ownValue]] = [query, key, value].map(parts) as [
      [Var, Var],
      [Var, Var],
      [Var, Var],
    ];
    const prefix = headsLike(
      unsqueeze(prefixIds, 0),
      { query: prefixQuery, key: prefixKey, value: prefixValue },
      config,
    );
    const rest = headsLike(inputIds, { query: ownQuery, key: ownKey, value: ownValue }, config);
    const rows: HeadVars = {
      query: rest.query,
      key: after(prefix.key, rest.key),
      value: after(prefix.value, rest.value),
    };
    const outputs = [attended(prefix, prefixMaskOf(window), config), attended(rows, maskOf(window), config)];
    return concat(outputs, 0, ALL_TOKENS);
  };
}

/** The keys that the tokens of the rows see: float32 [B,1,1,T,keys]. */
function packedMask({ prefixIds, inputIds, positionIds, keyEnds }: PackedVars, window: number | null): Var {
  const prefix = indicesAlong(prefixIds, 0);
  const keyIndex = indicesAlong(keyEnds, 1);
  const [, ownIndex] = splitLike(keyIndex, [prefix, indicesAlong(inputIds, 1)], 0) as [Var, Var];
  const query = unsqueeze(ownIndex, 1); // [T,1]
  const seen = and(lessOrEqual(unsqueeze(keyIndex, 0), query), less(query, unsqueeze(keyEnds, 1))); // [B,T,keys]
  if (window === null) return maskWhere(unsqueeze(seen, [1, 2]));
  const keyPositions = concat([repeatRow(unsqueeze(prefix, 0), positionIds), positionIds], 1, ROW_KEYS);
  const near = isNear(unsqueeze(positionIds, 2), unsqueeze(keyPositions, 1), window);
  return maskWhere(unsqueeze(and(seen, near), [1, 2]));
}
