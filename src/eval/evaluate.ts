/**
 * Scores examples with the engine: the base and, in the same batches, an adapter. Confidence intervals come from a
 * bootstrap over the examples. Each example gets one prediction. Examples that do not fit the context are left out and
 * reported. Knows no files and no command line.
 */
import type { EncodedExample, ExampleEncoder } from "../data/encode.ts";
import type { Example, ExamplePlace } from "../data/examples.ts";
import { lineError } from "../data/lines.ts";
import type { Engine, SequenceRequest } from "../engine/engine.ts";
import { AppError } from "../errors.ts";
import { addUp, bootstrap, type Interval } from "./bootstrap.ts";
import {
  type Judge,
  type Judgement,
  lossStatistics,
  type MetricName,
  scoreOf,
  TEXT_METRICS,
  type TextMetricName,
} from "./metrics.ts";
import { generate, lossOf, type Runner, runAll } from "./run-sequences.ts";

export interface GenerationLimits {
  /** Maximum number of tokens generated for an example. It is lower if the context has less room. */
  readonly maxTokens: number;
  readonly maxModelLen: number;
  /** Any of these ends a generation. */
  readonly stopIds: readonly number[];
}

export interface EvaluationOptions extends GenerationLimits {
  readonly engine: Pick<Engine, "submit">;
  /** The adapter measured beside the base; null: the base alone. */
  readonly adapter: SequenceRequest["adapter"];
  /** Tokens that end the adapter's answers, in addition to `stopIds`. */
  readonly adapterEndIds?: readonly number[];
  /** Number of examples in flight. */
  readonly numInFlight: number;
  /** Seed of the bootstrap. */
  readonly seed: number;
  readonly onProgress?: (done: number) => void;
}

/** A score with its 95 % interval. */
export interface Score extends Interval {
  readonly value: number;
}

export interface Evaluation {
  readonly metric: MetricName;
  /** Number of examples that were scored. */
  readonly count: number;
  /** Number of tokens in the loss; null for metrics of text. */
  readonly numTokens: number | null;
  /** Examples that do not fit the context, each with its number of tokens. */
  readonly skipped: readonly (ExamplePlace & { readonly numTokens: number })[];
  readonly base: Score;
  readonly adapter: Score | null;
  /** Adapter minus base, resampled in pairs. */
  readonly difference: Score | null;
  /** One object for each example, for readers. */
  readonly predictions: readonly Readonly<Record<string, unknown>>[];
  readonly seconds: number;
}

/** Everything needed to measure one example. It is made and checked before any engine runs. */
export interface EvaluationItem {
  readonly example: Example;
  /** Minimum number of tokens of the context that it needs. */
  readonly numTokens: number;
  /** Fields that a reader of the predictions needs besides the results. */
  readonly about: Readonly<Record<string, unknown>>;
  run(runner: Runner, limits: GenerationLimits): Promise<Judgement>;
}

/** @throws {AppError} data_invalid, naming file and line, where an example lacks a field that the metric needs. */
export function prepareItem(example: Example, metric: MetricName, encoder: ExampleEncoder): EvaluationItem {
  return metric === "loss" ? lossItem(example, encoder) : textItem(example, metric, encoder);
}

/** @throws {AppError} data_invalid where no example fits the context; every error of the engine. */
export async function evaluate(
  items: readonly EvaluationItem[],
  metric: MetricName,
  options: EvaluationOptions,
): Promise<Evaluation> {
  const { engine, adapter, maxModelLen } = options;
  const fits = ({ numTokens }: EvaluationItem): boolean => numTokens <= maxModelLen;
  const skipped = items
    .filter((item) => !fits(item))
    .map(({ example: { file, line }, numTokens }) => ({ file, line, numTokens }));
  const fitting = items.filter(fits);
  if (fitting.length === 0)
    throw new AppError(
      "data_invalid",
      `None of the ${items.length} examples fits the context of ${maxModelLen} tokens. Use shorter examples.`,
    );
  const runners: Runner[] = [{ engine, adapter: null }, ...(adapter === null ? [] : [{ engine, adapter }])];
  const adapterLimits = { ...options, stopIds: [...options.stopIds, ...(options.adapterEndIds ?? [])] };
  const startedAt = performance.now();
  // The adapter's row runs beside the base's, so both see the same batches.
  const work = (item: EvaluationItem): Promise<Judgement[]> =>
    Promise.all(runners.map((runner) => item.run(runner, runner.adapter === null ? options : adapterLimits)));
  const onDone = (numDone: number): void => options.onProgress?.(numDone / fitting.length);
  const judgements = await runAll(fitting, options.numInFlight, work, onDone);
  return {
    metric,
    count: fitting.length,
    numTokens: metric === "loss" ? judgements.reduce((sum, [first]) => sum + (first?.statistics[1] ?? 0), 0) : null,
    skipped,
    ...compare(metric, judgements, options.seed),
    predictions: fitting.map(({ example: { file, line }, about }, i) => {
      const [base, other] = judgements[i] ?? [];
      return { file, line, ...about, base: base?.notes, ...(other === undefined ? {} : { adapter: other.notes }) };
    }),
    seconds: (performance.now() - startedAt) / 1000,
  };
}

/** @param judgements by example and system, the base first. */
function compare(metric: MetricName, judgements: readonly (readonly Judgement[])[], seed: number) {
  const numSystems = judgements[0]?.length ?? 0;
  const systems = Array.from({ length: numSystems }, (_, s) =>
    judgements.map((row) => row[s]?.statistics ?? new Float64Array()),
  );
  const score = (sum: Float64Array): number => scoreOf(metric, sum);
  const values = systems.map((system) => score(addUp(system)));
  const { intervals, differences } = bootstrap(systems, score, { seed });
  const scoreAt = (s: number): Score => ({ value: at(values, s), ...at(intervals, s) });
  return {
    base: scoreAt(0),
    adapter: numSystems > 1 ? scoreAt(1) : null,
    difference: numSystems > 1 ? { value: at(values, 1) - at(values, 0), ...at(differences, 1) } : null,
  };
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error("internal: a system without a score");
  return item;
}

function lossItem(example: Example, encoder: ExampleEncoder): EvaluationItem {
  const sequences = encoder.encode(example);
  const numCounted = sequences.reduce((sum, { numLossTokens }) => sum + numLossTokens, 0);
  if (numCounted === 0)
    throw lineError(example.file, example.line, "it has no token for the loss to count. Give it a completion.");
  return {
    example,
    numTokens: Math.max(...sequences.map(({ ids }) => ids.length)),
    about: { tokens: numCounted },
    run: async (runner) => {
      const losses = await Promise.all(sequences.map((sequence: EncodedExample) => lossOf(runner, sequence)));
      const sum = losses.reduce((total, loss) => total + loss, 0);
      return { statistics: lossStatistics(sum, numCounted), notes: { loss: sum / numCounted } };
    },
  };
}

function textItem(example: Example, metric: TextMetricName, encoder: ExampleEncoder): EvaluationItem {
  const judge: Judge = TEXT_METRICS[metric].judgeFor(example);
  const promptIds = encoder.encodePrompt(example);
  if (promptIds.length === 0)
    throw lineError(
      example.file,
      example.line,
      "the prompt is empty, and this model's tokenizer adds no first token. Give it a prompt.",
    );
  const about = example.form === "prompt" ? { prompt: example.prompt } : { messages: example.messages };
  return {
    example,
    numTokens: promptIds.length + 1, // room for one token of an answer
    about: { ...about, expected: judge.expected },
    run: async (runner, { maxTokens, maxModelLen, stopIds }) => {
      const room = Math.min(maxTokens, maxModelLen - promptIds.length);
      const text = await generate(runner, encoder.tokenizer, promptIds, { maxTokens: room, stopIds });
      const { statistics, notes } = judge.judge(text);
      return { statistics, notes: { text, ...notes } };
    },
  };
}
