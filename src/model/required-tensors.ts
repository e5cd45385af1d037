/** The tensors that a decoder needs, with their shapes. A checkpoint is checked against this list. */
import { allLinears } from "./linears.ts";
import type { ModelConfig } from "./config/model-config.ts";
import {
  EMBEDDING,
  FINAL_NORM,
  LM_HEAD,
  POSITION_EMBEDDING,
  layerNorms,
  linearBias,
  linearWeight,
  queryKeyNorms,
} from "./weight-names.ts";

export interface RequiredTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Every tensor of the model in a fixed order. The LM head is last, if it is a matrix of its own. */
export function requiredTensors(config: ModelConfig, hasOwnHead: boolean): readonly RequiredTensor[] {
  const { hiddenSize, vocabSize, maxPositions } = config;
  const linears = allLinears(config).flatMap((linear) => [
    { name: linearWeight(linear.name), shape: [linear.dOut, linear.dIn] },
    ...(linear.hasBias ? [{ name: linearBias(linear.name), shape: [linear.dOut] }] : []),
  ]);
  return [
    { name: EMBEDDING, shape: [vocabSize, hiddenSize] },
    ...(config.hasLearnedPositions ? [{ name: POSITION_EMBEDDING, shape: [maxPositions, hiddenSize] }] : []),
    ...linears,
    ...allNorms(config).flatMap(({ name, size }) => normTensors(config, name, size)),
    ...(hasOwnHead ? [{ name: LM_HEAD, shape: [vocabSize, hiddenSize] }] : []),
  ];
}

function allNorms(config: ModelConfig): readonly { readonly name: string; readonly size: number }[] {
  const { hiddenSize, numLayers, headSize, numHeads, numKvHeads, queryKeyNorm } = config;
  const layers = Array.from({ length: numLayers }, (_, layer) => {
    const around = Object.values(layerNorms(config, layer)) as (string | null)[];
    const blocks = around.filter((name) => name !== null).map((name) => ({ name, size: hiddenSize }));
    if (queryKeyNorm === "none") return blocks;
    const { query, key } = queryKeyNorms(layer);
    const heads = (count: number): number => (queryKeyNorm === "head" ? headSize : count * headSize);
    return [...blocks, { name: query, size: heads(numHeads) }, { name: key, size: heads(numKvHeads) }];
  });
  return [...layers.flat(), { name: FINAL_NORM, size: hiddenSize }];
}

function normTensors({ norm }: ModelConfig, name: string, size: number): readonly RequiredTensor[] {
  const parts = norm.kind === "layer" ? ["weight", "bias"] : ["weight"];
  return parts.map((part) => ({ name: `${name}.${part}`, shape: [size] }));
}
