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
    }
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPositions: number;
      /** Multiplies cosine and sine. */
      readonly attentionFactor: number;
      /** Whether the bounds of the ramp are whole dimensions. */
      readonly isTruncated: boolean;
    }
  | {
      /** Up to `originalMaxPositions` alone: beyond, every position of a sequence turns otherwise than it did. */
      readonly type: "longrope";
      /** Divides the frequency of each pair. */
      readonly shortFactors: readonly number[];
      readonly originalMaxPositions: number;
      /** Multiplies cosine and sine. */
      readonly attentionFactor: number;
    };

export interface RopeConfig {
  readonly theta: number;
  /** Leading values of a head that turn; the others stay. */
  readonly rotaryDim: number;
  readonly scaling: RopeScaling;
}

/** Names of the linear layers within a layer; those of one list are computed as one product. */
export interface LinearModules {
  /** q, k and v, apart or as one matrix. */
  readonly qkv: readonly string[];
  readonly output: string;
  /** Gate and up, apart or as one matrix; or the only way in of an MLP without a gate. */
  readonly mlpIn: readonly string[];
  readonly down: string;
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
  readonly modules: LinearModules;
  /** "rms" multiplies by `offset` + weight; "layer" also subtracts the mean and has a bias. */
  readonly norm: { readonly kind: "rms" | "layer"; readonly epsilon: number; readonly offset: 0 | 1 };
  /** Whether attention and MLP have a norm on their input, on their output, or on both. */
  readonly blockNorms: "before" | "after" | "both";
  /** A norm on queries and keys before they turn: on every head, or on all heads side by side. */
  readonly queryKeyNorm: "none" | "head" | "all";
  readonly activation: "silu" | "gelu_tanh";
  readonly hasGate: boolean;
  /** Factor of the embedded tokens. */
  readonly embeddingScale: number;
  /** Factor of the attention scores. */
  readonly attentionScale: number;
  /** Scores and logits are capped to ±cap by tanh; 0: not at all. */
  readonly scoreSoftCap: number;
  readonly logitSoftCap: number;
  /** A table of positions is added to the embedding. */
  readonly hasLearnedPositions: boolean;
  readonly ropes: readonly RopeConfig[];
  /** Which of `ropes` turns each layer; null: none. */
  readonly layerRopes: readonly (number | null)[];
  /** Sliding window of each layer; null: sees everything before it. */
  readonly windows: readonly (number | null)[];
  /** Whether the config declares embedding and head one matrix; what is stored decides (`checkpoint/stored-tensors.ts`). */
  readonly tiesEmbeddings: boolean;
  readonly hasQkvBias: boolean;
  readonly hasOutputBias: boolean;
  readonly hasMlpBias: boolean;
}
