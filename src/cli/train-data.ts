/** The data of `mosara train`: files → encoded examples of bounded length, with everything reported that was left out or cut. */
import { createHash } from "node:crypto";
import { type EncodedExample, type ExampleEncoder, loadExampleEncoder } from "../data/encode.ts";
import { type Example, readExamples } from "../data/examples.ts";
import { AppError } from "../errors.ts";
import { type TrainExample } from "../train/batches.ts";
import { type FittedExamples, type OverlongPolicy, fitLength } from "../train/fit-length.ts";

/** Examples as read, before a model is there to encode them for. */
export interface ReadData {
  readonly training: readonly Example[];
  readonly evaluation: readonly Example[];
}

/** Examples of one use, encoded. */
export interface ExampleSet {
  readonly examples: readonly TrainExample[];
  readonly numTokens: number;
  readonly numLossTokens: number;
  /** SHA-256 over ids and masks, hex: equal examples have equal ones, whatever their files are called. */
  readonly sha256: string;
}

/** @throws {AppError} usage, data_invalid naming file, line and reason */
export async function readData(training: readonly string[], evaluation: readonly string[]): Promise<ReadData> {
  return {
    training: await readExamples(training),
    evaluation: evaluation.length === 0 ? [] : await readExamples(evaluation),
  };
}

export interface EncodeOptions {
  /** Of the model. */
  readonly vocabSize: number;
  readonly maxLength: number;
  readonly overlong: OverlongPolicy;
  readonly onNotice: (text: string) => void;
}

/**
 * Encodes for the model in `dir`. @throws {AppError} checkpoint_invalid (a tokenizer without end token, or with ids that the
 * model does not have), data_invalid for a line that cannot be encoded, or when nothing is left to learn
 */
export async function encodeData(
  dir: string,
  data: ReadData,
  options: EncodeOptions,
): Promise<{ readonly training: ExampleSet; readonly evaluation: ExampleSet | null }> {
  const encoder = await loadExampleEncoder(dir);
  const training = encodeSet("training", data.training, encoder, options);
  const evaluation = data.evaluation.length === 0 ? null : encodeSet("evaluation", data.evaluation, encoder, options);
  return { training, evaluation };
}

function encodeSet(
  use: string,
  examples: readonly Example[],
  encoder: ExampleEncoder,
  { vocabSize, maxLength, overlong, onNotice }: EncodeOptions,
): ExampleSet {
  const encoded = examples.flatMap((example) => encoder.encode(example));
  for (const example of encoded) assertInVocabulary(example, vocabSize);
  const fitted = fitLength(encoded, maxLength, overlong);
  reportLeftOut(use, encoded.length, maxLength, fitted, onNotice);
  if (fitted.examples.length === 0)
    throw new AppError(
      "data_invalid",
      `Of ${encoded.length} ${use} examples none is left to predict within ${maxLength} tokens. Raise --max-length, or give shorter ones.`,
    );
  const hash = createHash("sha256");
  let numTokens = 0;
  let numLossTokens = 0;
  for (const { ids, lossMask, numLossTokens: count } of fitted.examples) {
    numTokens += ids.length;
    numLossTokens += count;
    hash.update(Uint32Array.of(ids.length)).update(ids).update(lossMask);
  }
  return { examples: fitted.examples, numTokens, numLossTokens, sha256: hash.digest("hex") };
}

function assertInVocabulary({ ids, file, line }: EncodedExample, vocabSize: number): void {
  const unknown = ids.find((id) => id >= vocabSize);
  if (unknown !== undefined)
    throw new AppError(
      "checkpoint_invalid",
      `The tokenizer gives token ${unknown} for ${file}, line ${line}; the model has ${vocabSize}. Use the tokenizer that belongs to the model.`,
    );
}

function reportLeftOut(
  use: string,
  numAll: number,
  maxLength: number,
  { numTruncated, numSkipped, numEmpty }: FittedExamples,
  onNotice: (text: string) => void,
): void {
  const of = `of ${numAll} ${use} examples`;
  if (numTruncated > 0)
    onNotice(
      `${numTruncated} ${of} are longer than ${maxLength} tokens and were cut there (--overlong, --max-length).`,
    );
  if (numSkipped > 0)
    onNotice(`${numSkipped} ${of} are longer than ${maxLength} tokens and were left out (--overlong, --max-length).`);
  if (numEmpty > 0) onNotice(`${numEmpty} ${of} have nothing to predict within ${maxLength} tokens and were left out.`);
}
