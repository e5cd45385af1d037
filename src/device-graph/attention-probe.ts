/**
 * Only the attention of a model, as a graph whose queries, keys and values are inputs. It serves to compare a device's
 * kernels with the CPU's. It has one layer for every kind of layer in the model.
 */
import { encodeModel } from "../formats/onnx-proto.ts";
import { Graph, type Var } from "../graph/graph.ts";
import { inlineMadeWeights, toOnnxModel } from "../graph/serialize.ts";
import { cachedAttention, needsPositionIds } from "../model/attention.ts";
import type { ModelConfig } from "../model/config/model-config.ts";
import { INPUT_IDS, POSITION_IDS, ROWS } from "../model/ports.ts";
import { queryKeyNorms } from "../model/weight-names.ts";
import { type DeviceForm, inForm } from "./device-form.ts";

/** Queries, keys and values side by side, float32 [B·T, width]. */
export const PROBE_INPUT = "qkv";
/** Output of attention in layer `layer`, float32 [B·T, H·D]. */
export const probeOutput = (layer: number): string => `heads.${layer}`;

/** Positions of a probe. */
const PROBE_POSITIONS = 512;
/** A window shorter than the probe's prompts, and a cap that its scores, of size about 1, reach. */
const PROBE_WINDOW = 50;
const PROBE_CAP = 1;

/**
 * The model's configuration with one layer of each kind, and as many positions as a probe needs. Windows and caps are
 * small, so that a kernel that ignores them is detected. With the values of most models, such a kernel would pass.
 */
export function probeConfig(config: ModelConfig): ModelConfig {
  const kinds = new Map<string, number>();
  for (let layer = 0; layer < config.numLayers; layer++) {
    const kind = JSON.stringify([config.windows[layer] ?? null, config.layerRopes[layer] ?? null]);
    if (!kinds.has(kind)) kinds.set(kind, layer);
  }
  const layers = [...kinds.values()];
  return {
    ...config,
    numLayers: layers.length,
    maxPositions: PROBE_POSITIONS,
    scoreSoftCap: Math.min(config.scoreSoftCap, PROBE_CAP),
    windows: layers.map((layer) => clamped(config.windows[layer] ?? null)),
    layerRopes: layers.map((layer) => config.layerRopes[layer] ?? null),
  };
}

const clamped = (window: number | null): number | null => (window === null ? null : Math.min(window, PROBE_WINDOW));

/** The probe of a `probeConfig` as a model, in a device's form. */
export async function attentionProbe(config: ModelConfig, form: DeviceForm): Promise<Uint8Array> {
  const graph = new Graph("attention");
  const inputIds = graph.input(INPUT_IDS.name, INPUT_IDS.dtype, INPUT_IDS.shape);
  const positionIds = needsPositionIds(config)
    ? graph.input(POSITION_IDS.name, POSITION_IDS.dtype, POSITION_IDS.shape)
    : null;
  const attend = cachedAttention(graph, config, inputIds, positionIds);
  const width = (config.numHeads + 2 * config.numKvHeads) * config.headSize;
  const qkv = graph.input(PROBE_INPUT, "float32", [ROWS, width]);
  for (let layer = 0; layer < config.numLayers; layer++)
    graph.output(
      attend(layer, qkv, (name) => ones(graph, config, layer, name)),
      probeOutput(layer),
    );
  await inlineMadeWeights(graph);
  return encodeModel(inForm(toOnnxModel(graph), form));
}

/** Weights of the norms on heads. Their values do not matter here. */
function ones(graph: Graph, config: ModelConfig, layer: number, name: string): Var {
  const { headSize, numHeads, numKvHeads, queryKeyNorm } = config;
  const heads = name.startsWith(queryKeyNorms(layer).query) ? numHeads : numKvHeads;
  const size = queryKeyNorm === "all" ? heads * headSize : headSize;
  const data = new Float32Array(size).fill(name.endsWith(".bias") ? 0 : 1);
  return graph.weight(name, "float32", [size], { kind: "inline", tensor: { dtype: "float32", shape: [size], data } });
}
