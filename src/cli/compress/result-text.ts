/** The result of `mosara compress` as text for users. */

/**
 * How close a compressed adapter is to its original, over the predicted tokens of held-out examples, in nats a token.
 */
export interface Fidelity {
  /** KL(original ‖ base), KL(original ‖ projected) and KL(original ‖ compressed). */
  readonly klBase: number;
  readonly klProjected: number;
  readonly klCompressed: number;
  /** Cross-entropy of the examples' own answers. */
  readonly lossBase: number;
  readonly lossOriginal: number;
  readonly lossCompressed: number;
}

/** The output of `--json`. */
export interface CompressResult extends Fidelity {
  readonly out: string;
  readonly generation: string;
  readonly numParams: number;
  readonly bytes: number;
  readonly originalParams: number;
  readonly seconds: number;
}

export function compressText(result: CompressResult): string {
  const { klBase, klProjected, klCompressed, lossBase, lossOriginal, lossCompressed } = result;
  const kept = (lossBase - lossCompressed) / (lossBase - lossOriginal);
  return [
    `${result.out}: ${result.numParams} numbers, ${result.bytes} bytes; the original has ${result.originalParams} numbers`,
    `KL from the original, nats a token: base ${klBase.toFixed(4)}, projected ${klProjected.toFixed(4)}, compressed ${klCompressed.toFixed(4)}`,
    `held-out loss: base ${lossBase.toFixed(4)}, original ${lossOriginal.toFixed(4)}, compressed ${lossCompressed.toFixed(4)} (${(100 * kept).toFixed(1)} % of the gain kept)`,
    "",
  ].join("\n");
}
