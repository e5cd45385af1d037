/**
 * Samples for a training report: the base and the trained model answer the same prompts, greedily, through the serving
 * engine.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBase } from "../../base/build/build.ts";
import { type ExampleEncoder, loadExampleEncoder } from "../../data/encode.ts";
import { type Example, hasLearntTurn, lastLearntTurn } from "../../data/examples.ts";
import { AppError } from "../../errors.ts";
import { generate, runAll } from "../../eval/run-sequences.ts";
import type { Sample } from "../../report/report-data.ts";
import { Cleanup } from "../shared/cleanup.ts";
import { type EvalEngine, startEvalEngine } from "../shared/eval-engine.ts";
import { readAdapter } from "../shared/read-adapter.ts";
import type { TrainConfig } from "./flags.ts";

const NUM_SAMPLES = 6;
/** Maximum number of tokens of one answer. */
export const MAX_ANSWER_TOKENS = 96;
/** Length of a prompt cut from running text, which has no prompts of its own. */
const WINDOW_PROMPT_TOKENS = 24;

export interface SampleOptions {
  readonly baseDir: string;
  readonly maxPositions: number;
  /** The adapter file; for `full` the checkpoint. */
  readonly out: string;
  readonly method: TrainConfig["method"];
  readonly device: TrainConfig["device"];
  readonly threads: number;
}

/** The sources of samples: examples, or the token ids of running text. */
export type SampleSource =
  | { readonly examples: readonly Example[] }
  | { readonly windows: readonly { readonly ids: Int32Array }[] };

interface Prompt {
  readonly ids: Int32Array;
  readonly prompt: string;
  readonly expected: string | null;
}

/**
 * @throws {AppError} data_invalid where no prompt leaves room for an answer; every error of engine, builder and encoder
 */
export async function collectSamples(source: SampleSource, options: SampleOptions): Promise<readonly Sample[]> {
  const encoder = await loadExampleEncoder(options.baseDir);
  const all =
    "examples" in source
      ? evenly(source.examples.filter(hasLearntTurn)).map((example) => examplePrompt(example, encoder))
      : evenly(source.windows).map(({ ids }) => windowPrompt(ids, encoder));
  const prompts = all.filter(({ ids }) => ids.length > 0 && ids.length < options.maxPositions);
  if (prompts.length === 0)
    throw new AppError("data_invalid", `No prompt leaves room for an answer within ${options.maxPositions} positions.`);
  const isFull = options.method === "full";
  const base = await answers(prompts, options.baseDir, encoder, options, !isFull);
  const trained = base.trained ?? (await trainedAnswers(prompts, encoder, options));
  return prompts.map(({ prompt, expected }, i) => ({
    prompt,
    expected,
    base: base.base[i] ?? "",
    trained: trained[i] ?? "",
  }));
}

/** A few items, spread evenly over all of them. */
function evenly<T>(items: readonly T[]): readonly T[] {
  const stride = Math.max(1, items.length / NUM_SAMPLES);
  return items.filter((_, i) => Math.floor(i / stride) !== Math.floor((i - 1) / stride)).slice(0, NUM_SAMPLES);
}

function examplePrompt(example: Example, encoder: ExampleEncoder): Prompt {
  return { ids: encoder.encodePrompt(example), prompt: promptText(example), expected: expectedText(example) };
}

/** The beginning of a piece of text, and its continuation. */
function windowPrompt(ids: Int32Array, { tokenizer }: ExampleEncoder): Prompt {
  const length = Math.min(WINDOW_PROMPT_TOKENS, Math.ceil(ids.length / 2));
  const [before, after] = [ids.slice(0, length), ids.slice(length, length + MAX_ANSWER_TOKENS)];
  return { ids: before, prompt: tokenizer.decode([...before]), expected: tokenizer.decode([...after]) };
}

/** The answers of a trained whole model. Its base is built for the engine and removed again. */
async function trainedAnswers(
  prompts: readonly Prompt[],
  encoder: ExampleEncoder,
  options: SampleOptions,
): Promise<readonly string[]> {
  await using cleanup = new Cleanup();
  const dir = await mkdtemp(join(tmpdir(), "mosara-report-"));
  cleanup.defer(() => rm(dir, { recursive: true, force: true }));
  const built = join(dir, "base");
  await buildBase(options.out, built, {
    weights: "float32",
    blockSize: null,
    targets: "none",
    threshold: 1,
    maxRank: null,
    basisFrom: null,
    isSlim: true,
    numThreads: options.threads,
  });
  return (await answers(prompts, built, encoder, options, false)).base;
}

async function answers(
  prompts: readonly Prompt[],
  baseDir: string,
  encoder: ExampleEncoder,
  { out, device, threads, maxPositions }: SampleOptions,
  hasAdapter: boolean,
): Promise<{ readonly base: readonly string[]; readonly trained: readonly string[] | null }> {
  await using cleanup = new Cleanup();
  const adapter = hasAdapter ? await readAdapter(out) : null;
  const longest = Math.max(...prompts.map(({ ids }) => ids.length));
  const flags = {
    adapter: hasAdapter ? out : null,
    placement: "live",
    device,
    threads,
    maxNumSeqs: 2 * NUM_SAMPLES,
    maxModelLen: Math.min(maxPositions, longest + MAX_ANSWER_TOKENS),
    kvCacheBytes: null,
  } as const;
  const ownEnds = adapter?.adapter.endTokenIds ?? [];
  const started = await startEvalEngine(flags, baseDir, adapter, cleanup);
  const ask = (generation: string | null): Promise<readonly string[]> =>
    runAll(prompts, prompts.length, ({ ids }) => answer(started, generation, encoder, ids, ownEnds));
  const [base, trained] = await Promise.all([ask(null), adapter ? ask(adapter.generation) : null]);
  return { base, trained };
}

async function answer(
  { engine, limits, endIds }: EvalEngine,
  generation: string | null,
  encoder: ExampleEncoder,
  ids: Int32Array,
  adapterEndIds: readonly number[],
): Promise<string> {
  const runner = { engine, adapter: generation === null ? null : { generation } };
  const maxTokens = Math.min(MAX_ANSWER_TOKENS, limits.maxModelLen - ids.length);
  const own = generation === null ? [] : adapterEndIds;
  const stopIds = [...new Set([...endIds, ...encoder.endTokenIds, ...own])];
  return await generate(runner, encoder.tokenizer, ids, { maxTokens, stopIds });
}

function promptText(example: Example): string {
  if (example.form === "prompt") return example.prompt;
  const turns = lastLearntTurn(example).before.map(({ role, content }) => {
    const text = typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("\n");
    return `${role}: ${text}`;
  });
  return turns.join("\n");
}

function expectedText(example: Example): string | null {
  // A prompt for rewards may have no answer.
  if (example.form === "messages") return lastLearntTurn(example).text || null;
  return example.completion ?? example.references?.[0] ?? example.answer;
}
