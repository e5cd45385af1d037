/**
 * The linear layers of a decoder and how they are fused: layers that read the same input are computed as one product, a
 * *group*, whose output is theirs side by side. Names are those of adapters: `layers.<L>.<module>`.
 */
import type { ModelConfig } from "./model-config.ts";

export interface Linear {
  /** `layers.0.self_attn.q_proj` */
  readonly name: string;
  readonly dIn: number;
  readonly dOut: number;
  readonly hasBias: boolean;
}

export interface LinearGroup {
  /** `layers.0.self_attn.qkv`: also the prefix of its weights and ports in the graph. */
  readonly name: string;
  readonly dIn: number;
  /** Sum of the members' dOut. */
  readonly dOut: number;
  readonly members: readonly Linear[];
}

export interface LayerGroups {
  readonly qkv: LinearGroup;
  readonly output: LinearGroup;
  readonly gateUp: LinearGroup;
  readonly down: LinearGroup;
}

function group(name: string, members: readonly Linear[]): LinearGroup {
  return { name, dIn: members[0]?.dIn ?? 0, dOut: members.reduce((sum, member) => sum + member.dOut, 0), members };
}

/** The groups of one layer. */
export function layerGroups(config: ModelConfig, layer: number): LayerGroups {
  const { hiddenSize, intermediateSize, headSize } = config;
  const linear = (module: string, dIn: number, dOut: number, hasBias: boolean): Linear => ({
    name: `layers.${layer}.${module}`,
    dIn,
    dOut,
    hasBias,
  });
  const queries = config.numHeads * headSize;
  const keys = config.numKvHeads * headSize;
  const projection = (name: string, dOut: number): Linear =>
    linear(`self_attn.${name}`, hiddenSize, dOut, config.hasQkvBias);
  return {
    qkv: group(`layers.${layer}.self_attn.qkv`, [
      projection("q_proj", queries),
      projection("k_proj", keys),
      projection("v_proj", keys),
    ]),
    output: group(`layers.${layer}.self_attn.o`, [
      linear("self_attn.o_proj", queries, hiddenSize, config.hasOutputBias),
    ]),
    gateUp: group(`layers.${layer}.mlp.gate_up`, [
      linear("mlp.gate_proj", hiddenSize, intermediateSize, config.hasMlpBias),
      linear("mlp.up_proj", hiddenSize, intermediateSize, config.hasMlpBias),
    ]),
    down: group(`layers.${layer}.mlp.down`, [linear("mlp.down_proj", intermediateSize, hiddenSize, config.hasMlpBias)]),
  };
}

/** All groups, layer by layer, in the order they are computed. */
export function allGroups(config: ModelConfig): readonly LinearGroup[] {
  return Array.from({ length: config.numLayers }, (_, layer) => layerGroups(config, layer)).flatMap(
    ({ qkv, output, gateUp, down }) => [qkv, output, gateUp, down],
  );
}

/** All linear layers that an adapter may bind to. */
export function allLinears(config: ModelConfig): readonly Linear[] {
  return allGroups(config).flatMap((one) => one.members);
}

/** Targets of Mo-SARA where none are named: the best gain per trained number in our measurements. */
export const DEFAULT_TARGETS = ["q_proj", "v_proj", "o_proj", "down_proj"] as const;
