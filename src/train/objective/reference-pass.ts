/** The reference of a run with preferences: the model before the first step, where an adapter changes nothing. */
import { type TrainExample, sortedBatches } from "../data/batches.ts";
import type { TrainModel } from "../train-model.ts";
import { type Preferences, logpsOf } from "./preferences.ts";

/**
 * Computes the reference's log-probabilities of all pairs once, and gives them to `preferences`. The model's parameters
 * must have their initial values.
 * @returns two numbers for each pair, in order, for the checkpoint
 */
export async function computeReferences(
  model: TrainModel,
  preferences: Preferences,
  pairs: readonly TrainExample[],
  batchSize: number,
  onProgress: (share: number) => void,
): Promise<Float32Array> {
  const places = new Map(pairs.map((pair, i) => [pair, i]));
  const all = new Float32Array(2 * pairs.length);
  let done = 0;
  for (const batch of sortedBatches(pairs, batchSize)) {
    const logps = logpsOf(batch, await model.rowLosses(batch));
    batch.forEach((pair, i) => all.set(logps.subarray(2 * i, 2 * i + 2), 2 * (places.get(pair) ?? 0)));
    done += batch.length;
    onProgress(done / pairs.length);
    await new Promise(setImmediate); // signals are handled between batches
  }
  preferences.refer(pairs, all);
  return all;
}
