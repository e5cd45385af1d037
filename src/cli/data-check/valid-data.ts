/** Reads and encodes data as training does, but collects the bad lines instead of ending at the first. */
import type { EncodedExample, ExampleEncoder } from "../../data/encode.ts";
import { type Example, readValidExamples } from "../../data/examples.ts";
import { type Preference, readValidPreferences } from "../../data/preferences.ts";
import { AppError } from "../../errors.ts";
import { type ReadData, preferenceData } from "../../train/data/run-data.ts";

export interface ValidData {
  /** All sequences of the good lines. A pair has two. */
  readonly training: readonly EncodedExample[];
  readonly evaluation: readonly EncodedExample[];
  /** The good lines, for a run. */
  readonly data: ReadData;
  readonly refusals: readonly AppError[];
}

/** @param arePairs whether the lines are preferences @throws {AppError} usage */
export async function readValidData(
  trainingFiles: readonly string[],
  evaluationFiles: readonly string[],
  arePairs: boolean,
  encoder: ExampleEncoder,
): Promise<ValidData> {
  const refusals: AppError[] = [];
  if (arePairs) {
    const encode = ({ chosen, rejected }: Preference) => [...encoder.encode(chosen), ...encoder.encode(rejected)];
    const read = async (files: readonly string[]) => {
      const found = await readValidPreferences(files);
      refusals.push(...found.refusals);
      return encodeGood(found.preferences, encode, refusals);
    };
    const [training, evaluation] = [await read(trainingFiles), await read(evaluationFiles)];
    const data = preferenceData({ training: training.good, evaluation: evaluation.good });
    return { training: training.sequences, evaluation: evaluation.sequences, data, refusals };
  }
  const read = async (files: readonly string[]) => {
    const found = await readValidExamples(files);
    refusals.push(...found.refusals);
    return encodeGood(found.examples, (example: Example) => encoder.encode(example), refusals);
  };
  const [training, evaluation] = [await read(trainingFiles), await read(evaluationFiles)];
  const files = { trainingCorpus: null, evaluationCorpus: null };
  const data = { training: training.good, evaluation: evaluation.good, preferences: null, prompts: null, ...files };
  return { training: training.sequences, evaluation: evaluation.sequences, data, refusals };
}

/** The items that can be encoded, with their sequences. @param refusals gets the errors of the others */
function encodeGood<T>(
  items: readonly T[],
  encode: (item: T) => readonly EncodedExample[],
  refusals: AppError[],
): { readonly good: readonly T[]; readonly sequences: readonly EncodedExample[] } {
  const good: T[] = [];
  const sequences: EncodedExample[] = [];
  for (const item of items)
    try {
      sequences.push(...encode(item));
      good.push(item);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "data_invalid") throw error;
      refusals.push(error);
    }
  return { good, sequences };
}
