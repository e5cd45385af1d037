/**
 * The data of `mosara train`: encodes files as examples of bounded length, and reports every example that was left out
 * or cut.
 */
import { createHash } from "node:crypto";
import { type EncodedExample, type ExampleEncoder, loadExampleEncoder } from "../../data/encode.ts";
import { type Example, readExamples } from "../../data/examples.ts";
import { joinNotice } from "../../data/join-notice.ts";
import { type Preference, readPreferences } from "../../data/preferences.ts";
import { type RewardPrompt, readRewardPrompts } from "../../data/reward-prompts.ts";
import { turnEndNotice, unheededTurnEnds } from "../../data/turn-ends.ts";
import { AppError } from "../../errors.ts";
import { type TrainExample, sequencesOf } from "./batches.ts";
import { type OverlongPolicy, fitLength, reportLeftOut } from "./fit-length.ts";
import { corpusWindows, isCorpus } from "./corpus.ts";

/** Data before the model is known: examples that were read and checked, or files of running text. */
export interface ReadData {
  readonly training: readonly Example[];
  readonly evaluation: readonly Example[];
  /** The pairs whose chosen answers are the examples above; null: the examples are learnt by themselves. */
  readonly preferences: PreferenceData | null;
  /**
   * The prompts of a run with rewards, which are the examples above. The model answers them, and a grader gives the
   * rewards. null: the run has no rewards.
   */
  readonly prompts: PromptData | null;
  /** Files of running text instead of examples; null: there are examples. */
  readonly trainingCorpus: readonly string[] | null;
  readonly evaluationCorpus: readonly string[] | null;
}

export interface PreferenceData {
  readonly training: readonly Preference[];
  readonly evaluation: readonly Preference[];
}

export interface PromptData {
  readonly training: readonly RewardPrompt[];
  readonly evaluation: readonly RewardPrompt[];
}

/** The encoded examples of one use. */
export interface ExampleSet {
  readonly examples: readonly TrainExample[];
  readonly numTokens: number;
  readonly numLossTokens: number;
  /** Tokens that close turns of the data but do not end the base's answers. */
  readonly endTokenIds: readonly number[];
  /** SHA-256 over ids and masks, hex. Equal examples have equal hashes, even if their files have other names. */
  readonly sha256: string;
  /** With rewards: the prompts, one for each example. */
  readonly prompts?: readonly RewardPrompt[];
}

/**
 * @param takesCorpus whether running text is accepted as well (`full`)
 * @throws {AppError} usage, data_invalid naming file, line and reason
 */
export async function readData(
  training: readonly string[],
  evaluation: readonly string[],
  takesCorpus: boolean,
): Promise<ReadData> {
  const corpusOf = async (files: readonly string[]) => (takesCorpus && (await isCorpus(files)) ? files : null);
  const trainingCorpus = await corpusOf(training);
  const evaluationCorpus = await corpusOf(evaluation);
  return {
    training: trainingCorpus ? [] : await readExamples(training),
    evaluation: evaluationCorpus || evaluation.length === 0 ? [] : await readExamples(evaluation),
    preferences: null,
    prompts: null,
    trainingCorpus,
    evaluationCorpus,
  };
}

/** @throws {AppError} usage, data_invalid naming file, line and reason */
export async function readPreferenceData(
  training: readonly string[],
  evaluation: readonly string[],
): Promise<ReadData> {
  return preferenceData({
    training: await readPreferences(training),
    evaluation: evaluation.length === 0 ? [] : await readPreferences(evaluation),
  });
}

/** Preferences as the data of a run. */
export function preferenceData(preferences: PreferenceData): ReadData {
  const chosen = (all: readonly Preference[]): readonly Example[] => all.map((one) => one.chosen);
  const { training, evaluation } = preferences;
  const texts = { training: chosen(training), evaluation: chosen(evaluation) };
  return { ...texts, preferences, prompts: null, trainingCorpus: null, evaluationCorpus: null };
}

/** Prompts whose answers are graded. @throws {AppError} usage, data_invalid naming file, line and reason */
export async function readPromptData(training: readonly string[], evaluation: readonly string[]): Promise<ReadData> {
  const prompts: PromptData = {
    training: await readRewardPrompts(training),
    evaluation: evaluation.length === 0 ? [] : await readRewardPrompts(evaluation),
  };
  const examples = (all: readonly RewardPrompt[]): readonly Example[] => all.map(({ example }) => example);
  const texts = { training: examples(prompts.training), evaluation: examples(prompts.evaluation) };
  return { ...texts, preferences: null, prompts, trainingCorpus: null, evaluationCorpus: null };
}

export interface EncodeOptions {
  /** Vocabulary size of the model. */
  readonly vocabSize: number;
  readonly maxLength: number;
  readonly overlong: OverlongPolicy;
  readonly onNotice: (text: string) => void;
}

/**
 * Encodes for the model in `dir`.
 * @throws {AppError} checkpoint_invalid (a tokenizer without end token, or with ids that the model does not have),
 * data_invalid for a line that cannot be encoded, or where no token is left to learn
 */
export async function encodeData(
  dir: string,
  data: ReadData,
  options: EncodeOptions,
): Promise<{ readonly training: ExampleSet; readonly evaluation: ExampleSet | null }> {
  const encoder = await loadExampleEncoder(dir);
  const { preferences, prompts } = data;
  if (prompts)
    return {
      training: encodePrompts("training", prompts.training, encoder, options),
      evaluation:
        prompts.evaluation.length === 0 ? null : encodePrompts("evaluation", prompts.evaluation, encoder, options),
    };
  if (preferences)
    return {
      training: encodePairs("training", preferences.training, encoder, options),
      evaluation:
        preferences.evaluation.length === 0
          ? null
          : encodePairs("evaluation", preferences.evaluation, encoder, options),
    };
  const encodeAs = (use: string, examples: readonly Example[], corpus: readonly string[] | null) =>
    corpus ? encodeCorpus(use, corpus, encoder, options) : encodeSet(use, examples, encoder, options);
  const hasEvaluation = data.evaluation.length > 0 || data.evaluationCorpus !== null;
  return {
    training: await encodeAs("training", data.training, data.trainingCorpus),
    evaluation: hasEvaluation ? await encodeAs("evaluation", data.evaluation, data.evaluationCorpus) : null,
  };
}

function encodeSet(
  use: string,
  examples: readonly Example[],
  encoder: ExampleEncoder,
  { vocabSize, maxLength, overlong, onNotice }: EncodeOptions,
): ExampleSet {
  const joined = examples.flatMap((example) => encoder.encode(example).map((encoded) => ({ example, encoded })));
  const encoded = joined.map((one) => one.encoded);
  const joins = use === "training" ? joinNotice(joined, encoder) : null;
  if (joins !== null) onNotice(joins);
  for (const example of encoded) assertInVocabulary(example, vocabSize);
  return fittedSet(use, encoded, encoded, encoder, { vocabSize, maxLength, overlong, onNotice });
}

/** Pairs of equal answers have nothing to learn. */
function encodePairs(
  use: string,
  preferences: readonly Preference[],
  encoder: ExampleEncoder,
  options: EncodeOptions,
): ExampleSet {
  const one = (example: Example): EncodedExample => {
    const [encoded] = encoder.encode(example);
    if (!encoded) throw new Error("internal: an answer without a sequence");
    assertInVocabulary(encoded, options.vocabSize);
    return encoded;
  };
  const all = preferences.map((pair) => ({
    example: pair.chosen,
    encoded: one(pair.chosen),
    rejected: one(pair.rejected),
  }));
  const joins = use === "training" ? joinNotice(all, encoder) : null;
  if (joins !== null) options.onNotice(joins);
  const differing = all.filter(({ encoded, rejected }) => !isSame(encoded, rejected));
  const numTies = all.length - differing.length;
  if (numTies > 0)
    options.onNotice(`${numTies} of ${all.length} ${use} pairs have two equal answers and were left out.`);
  const pairs = differing.map(({ encoded, rejected }) => ({ ...encoded, rejected }));
  const sequences = differing.flatMap(({ encoded, rejected }) => [encoded, rejected]);
  return fittedSet(use, pairs, sequences, encoder, options);
}

/** Prompts have no token to learn. Those that leave no room for an answer are left out. */
function encodePrompts(
  use: string,
  prompts: readonly RewardPrompt[],
  encoder: ExampleEncoder,
  { vocabSize, maxLength, onNotice }: EncodeOptions,
): ExampleSet {
  const all = prompts.map((prompt) => {
    const ids = encoder.encodePrompt(prompt.example);
    assertInVocabulary({ ids, ...prompt }, vocabSize);
    return { prompt, example: { ids, lossMask: new Uint8Array(ids.length), numLossTokens: 0 } };
  });
  const fitting = all.filter(({ example }) => example.ids.length < maxLength);
  const numLeftOut = all.length - fitting.length;
  if (fitting.length === 0)
    throw new AppError(
      "data_invalid",
      `None of the ${all.length} ${use} prompts leaves room for an answer within ${maxLength} tokens. Raise --max-length, or use shorter prompts.`,
    );
  if (numLeftOut > 0)
    onNotice(
      `${numLeftOut} of ${all.length} ${use} prompts leave no room for an answer within ${maxLength} tokens and were left out.`,
    );
  const set = exampleSet(
    fitting.map(({ example }) => example),
    [],
  );
  const items = fitting.map(({ prompt }) => prompt);
  const hash = createHash("sha256")
    .update(set.sha256)
    .update(JSON.stringify(items.map(({ item }) => item)));
  return { ...set, sha256: hash.digest("hex"), prompts: items };
}

function isSame(a: EncodedExample, b: EncodedExample): boolean {
  return a.ids.length === b.ids.length && a.ids.every((id, i) => id === b.ids[i]);
}

/** @param sequences all sequences of the examples */
function fittedSet(
  use: string,
  examples: readonly TrainExample[],
  sequences: readonly EncodedExample[],
  encoder: ExampleEncoder,
  { maxLength, overlong, onNotice }: EncodeOptions,
): ExampleSet {
  const fitted = fitLength(examples, maxLength, overlong);
  reportLeftOut(use, examples.length, maxLength, fitted, onNotice);
  if (fitted.examples.length === 0)
    throw new AppError(
      "data_invalid",
      `None of the ${examples.length} ${use} examples has a token to predict within ${maxLength} tokens. Raise --max-length, or use shorter examples.`,
    );
  const endTokenIds = unheededTurnEnds(sequences, encoder);
  if (use === "training" && endTokenIds.length > 0) onNotice(turnEndNotice(endTokenIds, encoder));
  return exampleSet(fitted.examples, endTokenIds);
}

async function encodeCorpus(
  use: string,
  files: readonly string[],
  encoder: ExampleEncoder,
  { vocabSize, maxLength }: EncodeOptions,
): Promise<ExampleSet> {
  const examples = await corpusWindows(files, encoder, maxLength);
  if (examples.length === 0)
    throw new AppError("data_invalid", `There is no ${use} text in ${files.join(", ")}. Name files with text.`);
  for (const { ids } of examples) assertInVocabulary({ ids, file: files.join(", "), line: null }, vocabSize);
  return exampleSet(examples, []);
}

function exampleSet(examples: readonly TrainExample[], endTokenIds: readonly number[]): ExampleSet {
  const hash = createHash("sha256");
  let numTokens = 0;
  let numLossTokens = 0;
  for (const { ids, lossMask, numLossTokens: count } of sequencesOf(examples)) {
    numTokens += ids.length;
    numLossTokens += count;
    hash.update(Uint32Array.of(ids.length)).update(ids).update(lossMask);
  }
  return { examples, numTokens, numLossTokens, endTokenIds, sha256: hash.digest("hex") };
}

interface Encoded {
  readonly ids: Int32Array;
  readonly file: string;
  readonly line: number | null;
}

function assertInVocabulary({ ids, file, line }: Encoded, vocabSize: number): void {
  const unknown = ids.find((id) => id >= vocabSize);
  if (unknown !== undefined)
    throw new AppError(
      "checkpoint_invalid",
      `The tokenizer gives token ${unknown} for ${file}${line === null ? "" : `, line ${line}`}; the model has ${vocabSize}. Use the tokenizer that belongs to the model.`,
    );
}
