/**
 * Attention of the serving graph: fused q, k and v of a layer → its output heads, over the cache. The kernel splits and
 * rotates the heads if it can. Otherwise our own nodes do it. Head sizes that the kernel refuses are padded with zeros,
 * which change no score.
 */
import type { Graph, Var } from "../graph/graph.ts";
import { groupQueryAttention } from "../graph/ops/attention.ts";
import { pad, reshape, reshapeLike, slice } from "../graph/ops/shaping.ts";
import { growsWithin, preparedHeads, rotaryWeights } from "./heads.ts";
import type { ModelConfig } from "./config/model-config.ts";
import type { TensorOf } from "./norms.ts";
import { LAST_POSITIONS, ROWS, TOTAL_LENGTH, cacheHeadSize, cachePorts } from "./ports.ts";

// ONNX Runtime 1.30 on CPU, measured: built-in rotation needs head sizes that are a multiple of 16.
const ROTARY_MULTIPLE = 16;

/** Attention of one layer: qkv float32 [B·T, (H+2K)·D] → [B·T, H·D]. */
export type Attend = (layer: number, qkv: Var, tensor: TensorOf) => Var;

/**
 * Whether the kernel does all the work for this layer: no norm on heads, and either no rotation or one that it
 * supports.
 */
function isFused(config: ModelConfig, layer: number): boolean {
  const { headSize, queryKeyNorm, ropes, layerRopes } = config;
  if (queryKeyNorm !== "none" || cacheHeadSize(config) !== headSize) return false;
  const rope = ropes[layerRopes[layer] ?? -1];
  if (!rope) return true;
  if (rope.isInterleaved === true || growsWithin(rope, config.maxPositions)) return false;
  return headSize % ROTARY_MULTIPLE === 0 && rope.rotaryDim === headSize;
}

/** Whether the serving graph itself reads the position of every token. */
export function needsPositionIds(config: ModelConfig): boolean {
  const turnsOutside = (layer: number): boolean => !isFused(config, layer) && config.layerRopes[layer] !== null;
  return config.hasLearnedPositions || config.layerRopes.some((_, layer) => turnsOutside(layer));
}

/**
 * Declares the ports that attention needs and returns the function that builds each layer's attention.
 * @param inputIds int64 [B,T]
 * @param positionIds int64 [B,T], where `needsPositionIds`
 */
export function cachedAttention(graph: Graph, config: ModelConfig, inputIds: Var, positionIds: Var | null): Attend {
  const input = ({ name, dtype, shape }: typeof LAST_POSITIONS): Var => graph.input(name, dtype, shape);
  const lastPositions = input(LAST_POSITIONS);
  const totalLength = input(TOTAL_LENGTH);
  const rotary = rotaryWeights(graph, config);
  const byRow = (x: Var): Var => reshapeLike(x, inputIds, [x.shape[1] as number]); // widths are numbers
  const separate = (qkv: Var, layer: number, tensor: TensorOf): { query: Var; key: Var; value: Var } => {
    const { query, key, value } = preparedHeads({ config, layer, qkv, positionIds, rotary, tensor });
    return {
      query: byRow(padHeads(query, config.numHeads, config)),
      key: byRow(padHeads(key, config.numKvHeads, config)),
      value: byRow(padHeads(value, config.numKvHeads, config)),
    };
  };
  return (layer, qkv, tensor) => {
    const ports = cachePorts(layer, config);
    const common = {
      pastKey: input(ports.pastKey),
      pastValue: input(ports.pastValue),
      lastPositions,
      totalLength,
      numHeads: config.numHeads,
      numKvHeads: config.numKvHeads,
      scale: config.attentionScale,
      window: config.windows[layer] ?? -1,
      softCap: config.scoreSoftCap,
    };
    const at = config.layerRopes[layer] ?? null;
    const result = isFused(config, layer)
      ? groupQueryAttention({ ...common, query: byRow(qkv), rotary: at === null ? null : (rotary[at] ?? null) })
      : groupQueryAttention({ ...common, ...separate(qkv, layer, tensor), rotary: null });
    graph.output(result.presentKey, ports.presentKey.name);
    graph.output(result.presentValue, ports.presentValue.name);
    return unpadHeads(reshape(result.output, [ROWS, config.numHeads * cacheHeadSize(config)]), config);
  };
}

/** [B·T, heads·D] → [B·T, heads·D'], with zeros after each head. */
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
