/**
 * The linear layers of a decoder and their fusion. Layers that read the same input are computed as one product, a
 * *group*. A group's output holds the layers' outputs side by side. Names are those of adapters: `layers.<L>.<module>`.
 */
import type { ModelConfig } from "./config/model-config.ts";

export interface Linear {
  /** `layers.0.self_attn.q_proj` */
  readonly name: string;
  readonly dIn: number;
  readonly dOut: number;
  readonly hasBias: boolean;
}

export interface LinearGroup {
  /** `layers.0.self_attn.qkv`: also the prefix of the group's weights and ports in the graph. */
  readonly name: string;
  /** The group's name within a layer: `self_attn.qkv`. */
  readonly part: string;
  readonly dIn: number;
  /** Sum of the members' dOut. */
  readonly dOut: number;
  readonly members: readonly Linear[];
}

export interface LayerGroups {
  readonly qkv: LinearGroup;
  readonly output: LinearGroup;
  /** Gate and up, or the only input layer of the MLP. */
  readonly mlpIn: LinearGroup;
  readonly down: LinearGroup;
}

function group(layer: number, part: string, members: readonly Linear[]): LinearGroup {
  const dOut = members.reduce((sum, member) => sum + member.dOut, 0);
  return { name: `layers.${layer}.${part}`, part, dIn: members[0]?.dIn ?? 0, dOut, members };
}

/** The groups of one layer. */
export function layerGroups(config: ModelConfig, layer: number): LayerGroups {
  const { hiddenSize, intermediateSize, headSize, modules } = config;
  const queries = config.numHeads * headSize;
  const keys = config.numKvHeads * headSize;
  const side = (names: readonly string[], dIn: number, widths: readonly number[], hasBias: boolean): Linear[] =>
    names.map((module, i) => ({
      name: `layers.${layer}.${module}`,
      dIn,
      // One matrix for all of them, or one for each.
      dOut: names.length === 1 ? widths.reduce((sum, width) => sum + width, 0) : (widths[i] ?? 0),
      hasBias,
    }));
  const mlpWidths = config.hasGate ? [intermediateSize, intermediateSize] : [intermediateSize];
  return {
    qkv: group(layer, "self_attn.qkv", side(modules.qkv, hiddenSize, [queries, keys, keys], config.hasQkvBias)),
    output: group(layer, "self_attn.o", side([modules.output], queries, [hiddenSize], config.hasOutputBias)),
    mlpIn: group(layer, "mlp.in", side(modules.mlpIn, hiddenSize, mlpWidths, config.hasMlpBias)),
    down: group(layer, "mlp.down", side([modules.down], intermediateSize, [hiddenSize], config.hasMlpBias)),
  };
}

/** All groups, layer by layer, in the order of computation. */
export function allGroups(config: ModelConfig): readonly LinearGroup[] {
  return Array.from({ length: config.numLayers }, (_, layer) => layerGroups(config, layer)).flatMap(
    ({ qkv, output, mlpIn, down }) => [qkv, output, mlpIn, down],
  );
}

/** All linear layers that an adapter may change. */
export function allLinears(config: ModelConfig): readonly Linear[] {
  return allGroups(config).flatMap((one) => one.members);
}

/**
 * Default Mo-SARA targets, by their last part: q, v, o and down, or the family's names for them.
 * They had the best gain per trained number in our measurements.
 */
export function defaultTargets({ modules }: Pick<ModelConfig, "modules">): readonly string[] {
  const [query, , value] = modules.qkv;
  return [query, value, modules.output, modules.down].filter((name) => name !== undefined);
}
