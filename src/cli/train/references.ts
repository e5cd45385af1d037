/** The reference of a run with preferences: computed before the first step, or taken from the saved run. */
import { AppError } from "../../errors.ts";
import type { SavedRun } from "../../train/checkpoint.ts";
import type { Preferences } from "../../train/objective/preferences.ts";
import { computeReferences } from "../../train/objective/reference-pass.ts";
import type { Run } from "../../train/run.ts";
import type { TrainModel } from "../../train/train-model.ts";
import { Progress } from "../shared/progress.ts";

/**
 * Gives `preferences` the reference of all pairs.
 * @param model with its initial values
 * @returns two numbers for each pair, for the checkpoint
 */
export async function referTo(
  preferences: Preferences,
  model: TrainModel,
  { training, evaluation }: Run,
  batchSize: number,
  saved: SavedRun | null,
): Promise<Float32Array> {
  const sets = [training.examples, evaluation?.examples ?? []];
  const pairs = sets.flat();
  if (saved) {
    const { references } = saved;
    if (references?.length !== 2 * pairs.length)
      throw new AppError(
        "training_failed",
        "The checkpoint has no reference for the pairs. Start again without --resume.",
      );
    preferences.refer(pairs, references);
    return references;
  }
  const progress = new Progress();
  const references = new Float32Array(2 * pairs.length);
  let done = 0;
  try {
    // One set at a time, in the batches of the evaluation: its rewards are then exactly 0 before the first step.
    for (const set of sets) {
      const before = done;
      const onProgress = (share: number): void =>
        progress.update("reference", (before + share * set.length) / pairs.length);
      references.set(await computeReferences(model, preferences, set, batchSize, onProgress), 2 * before);
      done += set.length;
    }
  } finally {
    progress.end();
  }
  return references;
}
