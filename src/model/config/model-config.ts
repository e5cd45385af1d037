/**
 * A decoder's configuration under our own names: all parts of `config.json` that change the mathematics, and no others.
 * Foreign spellings (transformers 4 and 5) are only known in `families/` and `rope-config.ts`.
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
      /** Factor on cosine and sine. */
      readonly attentionFactor: number;
      /** Whether the bounds of the ramp are rounded to whole dimensions. */
      readonly isTruncated: boolean;
    }
  | {
      /** Valid only up to `originalMaxPositions`: in a longer sequence the rotation of every position would change. */
      readonly type: "longrope";
      /** Divisor of the frequency of each pair. */
      readonly shortFactors: readonly number[];
      readonly originalMaxPositions: number;
      /** Factor on cosine and sine. */
      readonly attentionFactor: number;
    };

export interface RopeConfig {
  readonly theta: number;
  /** Number of leading values of a head that are rotated; the others stay. */
  readonly rotaryDim: number;
  readonly scaling: RopeScaling;
  /** Whether pairs that turn together are neighbours; otherwise they are half of the rotated values apart. */
  readonly isInterleaved?: boolean;
  /**
   * Queries beyond the original positions grow with their position: factor 1 + beta · ln(1 + ⌊position / original⌋).
   */
  readonly queryGrowth?: { readonly beta: number; readonly originalMaxPositions: number };
}

/** Names of the linear layers within a layer. Those of one list are computed as one product. */
export interface LinearModules {
  /** q, k and v, separate or as one matrix. */
  readonly qkv: readonly string[];
  readonly output: string;
  /** Gate and up, separate or as one matrix; or the only input layer of an MLP without a gate. */
  readonly mlpIn: readonly string[];
  readonly down: string;
}

/** Settings that were added later, with their values in every base that was built before. */
export const LATER_SETTINGS = {
  isParallel: false,
  isNormedAfterRotation: false,
  residualScale: 1,
  logitScale: 1,
} as const;

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
  /** "rms" multiplies by `offset` + weight; "centred" also subtracts the mean; "layer" does both and has a bias. */
  readonly norm: { readonly kind: "rms" | "centred" | "layer"; readonly epsilon: number; readonly offset: 0 | 1 };
  /** Whether attention and MLP have a norm on their input, on their output, or on both. */
  readonly blockNorms: "before" | "after" | "both";
  /** Whether the MLP reads what attention reads, and both are added at once. */
  readonly isParallel: boolean;
  /** A norm on queries and keys: on every head, or on all heads together. */
  readonly queryKeyNorm: "none" | "head" | "all";
  /** Whether queries and keys are rotated before their norm. */
  readonly isNormedAfterRotation: boolean;
  readonly activation: "silu" | "gelu_tanh" | "relu2";
  readonly hasGate: boolean;
  /** Factor of the embedded tokens. */
  readonly embeddingScale: number;
  /** Factor of the values that attention and MLP add to the residual stream. */
  readonly residualScale: number;
  /** Factor of the logits. */
  readonly logitScale: number;
  /** Factor of the attention scores. */
  readonly attentionScale: number;
  /** Scores and logits are capped to ±cap by tanh; 0: no cap. */
  readonly scoreSoftCap: number;
  readonly logitSoftCap: number;
  /** Whether a table of positions is added to the embedding. */
  readonly hasLearnedPositions: boolean;
  readonly ropes: readonly RopeConfig[];
  /** The index in `ropes` for each layer; null: no rotation. */
  readonly layerRopes: readonly (number | null)[];
  /** Sliding window of each layer; null: the layer sees all earlier tokens. */
  readonly windows: readonly (number | null)[];
  /**
   * Whether the config declares embedding and head as one matrix. The stored tensors decide
   * (`checkpoint/stored-tensors.ts`).
   */
  readonly tiesEmbeddings: boolean;
  readonly hasQkvBias: boolean;
  readonly hasOutputBias: boolean;
  readonly hasMlpBias: boolean;
}
