/** The threshold at which SARA trains as many numbers as LoRA of a given rank: what "at equal parameters" means. */
import { openBase } from "../../src/base/base.ts";
import { rankForThreshold } from "../../src/linalg/rank.ts";
import { toFloat32 } from "../../src/tensor/host-tensor.ts";

/** Halvings of the interval: thresholds closer than this choose the same ranks. */
const NUM_HALVINGS = 30;

/**
 * The largest threshold whose k(dIn + dOut + 1) numbers, summed over the targets, are no more than r(dIn + dOut); the
 * smallest, k = 1, where even that has more, as beside LoRA of rank 1 by one number a layer.
 * @param baseDir with a basis of every target
 */
export async function thresholdOfSize(baseDir: string, rank: number): Promise<number> {
  await using base = await openBase(baseDir);
  const layers = await Promise.all(
    base.manifest.targets.map(async ({ name, dIn, dOut }) => {
      const { singularValues } = await base.readBasis(name);
      return { size: dIn + dOut, singularValues: toFloat32(singularValues) };
    }),
  );
  const most = layers.reduce((sum, { size }) => sum + rank * size, 0);
  const numbersAt = (threshold: number): number =>
    layers.reduce((sum, { size, singularValues }) => sum + rankForThreshold(singularValues, threshold) * (size + 1), 0);
  let [low, high] = [1e-6, 1];
  for (let halving = 0; halving < NUM_HALVINGS; halving++) {
    const middle = (low + high) / 2;
    if (numbersAt(middle) <= most) low = middle;
    else high = middle;
  }
  return low;
}
