/** Which tensors a decoder needs, and their shapes: what a checkpoint is checked against. */
import { allLinears } from "./linears.ts";
import type { ModelConfig } from "./model-config.ts";
import { EMBEDDING, FINAL_NORM, LM_HEAD, layerNorms, linearBias, linearWeight } from "./weight-names.ts";

export interface RequiredTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Every tensor of the model in a fixed order; the LM head last, where it is a matrix of its own. */
export function requiredTensors(config: ModelConfig, hasOwnHead: boolean): readonly RequiredTensor[] {
  const { hiddenSize, vocabSize, numLayers } = config;
  const norms = Array.from({ length: numLayers }, (_, layer) => Object.values(layerNorms(layer))).flat();
  const linears = allLinears(config).flatMap((linear) => [
    { name: linearWeight(linear.name), shape: [linear.dOut, linear.dIn] },
    ...(linear.hasBias ? [{ name: linearBias(linear.name), shape: [linear.dOut] }] : []),
  ]);
  return [
    { name: EMBEDDING, shape: [vocabSize, hiddenSize] },
    ...linears,
    ...[...norms, FINAL_NORM].map((name) => ({ name, shape: [hiddenSize] })),
    ...(hasOwnHead ? [{ name: LM_HEAD, shape: [vocabSize, hiddenSize] }] : []),
  ];
}
