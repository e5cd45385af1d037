/**
 * Measures the loss of quantising a model that was already quantised: which matrices keep their numbers, and how far
 * the others move. The loss is measured on some rows of each matrix.
 */
import type { Checkpoint, QuantizedTensors } from "../../checkpoint/checkpoint.ts";
import { quantizedMatrix } from "../../model/serve/quantize.ts";
import { dequantized, isSameLayout } from "../../model/serve/quantized-matrix.ts";
import { type WeightLayouts, layoutOf } from "../../model/serve/weight-layouts.ts";
import { toFloat32 } from "../../tensor/host-tensor.ts";
import { matricesOf } from "./choose-layouts.ts";

export interface SecondRounding {
  /** Tensors whose numbers are copied from the file. */
  readonly kept: number;
  /** Number of other tensors, by their type in the file. */
  readonly rounded: Readonly<Record<string, number>>;
  /** Root mean square change of the other tensors' weights, divided by the root mean square of these weights. */
  readonly relativeError: number;
}

const NUM_SAMPLE_ROWS = 32;

/** @returns null if the checkpoint or the base has no quantised weights */
export async function measureSecondRounding(
  checkpoint: Checkpoint,
  layouts: WeightLayouts | null,
): Promise<SecondRounding | null> {
  const { quantized } = checkpoint;
  if (quantized === null || layouts === null) return null;
  let kept = 0;
  const rounded: Record<string, number> = {};
  const sums = { errors: 0, weights: 0 };
  for (const { group, dIn, tensors } of matricesOf(checkpoint)) {
    const layout = layoutOf(layouts, group);
    for (const name of tensors) {
      const type = quantized.typeOf(name);
      if (type === null) continue;
      if (isKept(quantized, name, layout)) {
        kept++;
        continue;
      }
      rounded[type] = (rounded[type] ?? 0) + 1;
      const weight = toFloat32(await checkpoint.read(name));
      const step = Math.max(1, Math.floor(weight.length / dIn / NUM_SAMPLE_ROWS));
      for (let row = 0; row < weight.length / dIn; row += step) {
        const values = weight.subarray(row * dIn, (row + 1) * dIn);
        for (const [i, stored] of dequantized(quantizedMatrix(values, dIn, layout)).entries()) {
          const value = values[i] ?? 0;
          sums.errors += (stored - value) ** 2;
          sums.weights += value ** 2;
        }
      }
    }
  }
  const relativeError = sums.weights === 0 ? 0 : Math.sqrt(sums.errors / sums.weights);
  return { kept, rounded, relativeError };
}

function isKept(quantized: QuantizedTensors, name: string, layout: ReturnType<typeof layoutOf>): boolean {
  const own = quantized.layoutOf(name);
  return own !== null && isSameLayout(own, layout);
}
