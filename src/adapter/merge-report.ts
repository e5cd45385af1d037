/** The effect of merging an adapter, compared with the same adapter served live. Plain data that crosses processes. */

export interface MergeReport {
  /** Largest absolute logit difference over the probe prompts. */
  readonly maxAbsLogitDifference: number;
  /** Mean KL divergence of the merged adapter from the live one, in nats per position. */
  readonly kl: number;
  readonly seconds: number;
}
