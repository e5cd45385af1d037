/**
 * What a decoder is, in our own names: everything of `config.json` that changes the mathematics, and nothing else.
 * Foreign spellings (transformers 4 and 5) stop in `families/` and `rope-config.ts`.
 */

export type RopeScaling =
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    };

export interface RopeConfig {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

export interface ModelConfig {
  /** `model_type` of the checkpoint: the key into `FAMILIES`. */
  readonly family: string;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headSize: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly normEpsilon: number;
  /** Whether the config declares embedding and head one matrix; what is stored decides (`weight-names.ts`). */
  readonly tiesEmbeddings: boolean;
  readonly rope: RopeConfig;
  /** Sliding window of each layer; null: sees everything before it. */
  readonly windows: readonly (number | null)[];
  readonly hasQkvBias: boolean;
  readonly hasOutputBias: boolean;
  readonly hasMlpBias: boolean;
}
