/**
 * Attention of the serving graph: fused q, k and v of a layer → its output heads, over the cache.
 * The kernel rotates positions itself where it can (head sizes of a multiple of 16, every value rotated); elsewhere rotation
 * is a node of its own, and head sizes that the kernel refuses are padded with zeros, which change no score.
 */
import type { Graph, Var } from "../graph/graph.ts";
import { groupQueryAttention, rotaryEmbedding } from "../graph/ops/attention.ts";
import { pad, reshape, reshapeLike, slice, split } from "../graph/ops/shaping.ts";
import type { ModelConfig } from "./model-config.ts";
import { LAST_POSITIONS, POSITION_IDS, ROWS, TOTAL_LENGTH, cacheHeadSize, cachePorts } from "./ports.ts";
import { rotaryTables } from "./rope.ts";

// ONNX Runtime 1.30 on CPU, measured: built-in rotation wants head sizes of a multiple of 16.
const ROTARY_MULTIPLE = 16;

/** Attention of one layer: qkv float32 [B·T, (H+2K)·D] → [B·T, H·D]. */
export type Attend = (layer: number, qkv: Var) => Var;

/**
 * Declares the ports that attention needs and gives the function that builds each layer's.
 * @param inputIds int64 [B,T]
 */
export function cachedAttention(graph: Graph, config: ModelConfig, inputIds: Var): Attend {
  const hasFusedRotary = config.headSize % ROTARY_MULTIPLE === 0;
  const input = ({ name, dtype, shape }: typeof LAST_POSITIONS): Var => graph.input(name, dtype, shape);
  const lastPositions = input(LAST_POSITIONS);
  const totalLength = input(TOTAL_LENGTH);
  const tables = rotaryWeights(graph, config);
  const positionIds = hasFusedRotary ? null : input(POSITION_IDS);
  return (layer, qkv) => {
    const ports = cachePorts(layer, config);
    const common = {
      pastKey: input(ports.pastKey),
      pastValue: input(ports.pastValue),
      lastPositions,
      totalLength,
      numHeads: config.numHeads,
      numKvHeads: config.numKvHeads,
      scale: config.headSize ** -0.5,
      window: config.windows[layer] ?? -1,
      softCap: 0,
    };
    const heads = positionIds
      ? rotatedHeads(config, qkv, inputIds, positionIds, tables)
      : { query: reshapeLike(qkv, inputIds, [qkv.shape[1] as number]) };
    const result = groupQueryAttention({ ...common, ...heads, rotary: positionIds ? null : tables });
    graph.output(result.presentKey, ports.presentKey.name);
    graph.output(result.presentValue, ports.presentValue.name);
    return unpadHeads(reshape(result.output, [ROWS, config.numHeads * cacheHeadSize(config)]), config);
  };
}

function rotaryWeights(graph: Graph, config: ModelConfig): { cos: Var; sin: Var } {
  const shape = [config.maxPositions, config.headSize / 2];
  let tables: ReturnType<typeof rotaryTables> | null = null;
  const table = (part: "cos" | "sin"): Var =>
    graph.weight(`rotary.${part}`, "float32", shape, {
      kind: "made",
      make: async () => {
        tables ??= rotaryTables(config.rope, config.headSize, config.maxPositions);
        return { dtype: "float32", shape, data: tables[part] };
      },
    });
  return { cos: table("cos"), sin: table("sin") };
}

/** q, k and v apart, q and k rotated, every head padded to the cache's head size: float32 [B,T,heads·D']. */
function rotatedHeads(
  config: ModelConfig,
  qkv: Var,
  inputIds: Var,
  positionIds: Var,
  tables: { cos: Var; sin: Var },
): { query: Var; key: Var; value: Var } {
  const { headSize, numHeads, numKvHeads } = config;
  const sizes = [numHeads, numKvHeads, numKvHeads].map((heads) => heads * headSize);
  const [q, k, v] = split(qkv, sizes, 1) as [Var, Var, Var];
  const rotate = (x: Var, heads: number): Var => {
    const rows = reshapeLike(x, inputIds, [heads * headSize]);
    const rotated = rotaryEmbedding(rows, positionIds, tables, { numHeads: heads, rotaryDim: headSize, headSize });
    return reshape(rotated, [ROWS, heads * headSize]);
  };
  const padded = (x: Var, heads: number): Var =>
    reshapeLike(padHeads(x, heads, config), inputIds, [heads * cacheHeadSize(config)]);
  return {
    query: padded(rotate(q, numHeads), numHeads),
    key: padded(rotate(k, numKvHeads), numKvHeads),
    value: padded(v, numKvHeads),
  };
}

/** [B·T, heads·D] → [B·T, heads·D'], zeros behind each head. */
function padHeads(x: Var, heads: number, config: ModelConfig): Var {
  const extra = cacheHeadSize(config) - config.headSize;
  if (extra === 0) return x;
  const perHead = reshape(x, [`${heads}*${ROWS}`, config.headSize]);
  return reshape(pad(perHead, [0, 0], [0, extra]), [ROWS, heads * cacheHeadSize(config)]);
}

/** The inverse of `padHeads` on attention's output. */
function unpadHeads(x: Var, config: ModelConfig): Var {
  if (cacheHeadSize(config) === config.headSize) return x;
  const perHead = reshape(x, [`${config.numHeads}*${ROWS}`, cacheHeadSize(config)]);
  return reshape(slice(perHead, 1, 0, config.headSize), [ROWS, config.numHeads * config.headSize]);
}
