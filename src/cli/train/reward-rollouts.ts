/**
 * The answers that a run with rewards learns from. The serving engine samples them, in a process beside the trainer.
 * Each step gives it the adapter's present values, in memory, as an adapter of their own. Prompts and random streams
 * depend on the seed and the step alone, so a resumed run samples the same answers.
 */
import { encodeAdapter, generationOf } from "../../adapter/adapter-file.ts";
import type { Base } from "../../base/base.ts";
import { loadExampleEncoder } from "../../data/encode.ts";
import type { RewardPrompt } from "../../data/reward-prompts.ts";
import { type Engine, GREEDY, PLAIN_REQUEST, type SequenceRequest } from "../../engine/engine.ts";
import { nextUint32, seedRandom } from "../../tensor/random.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { type BatchSource, type MicroBatch, type StepSource, type TrainExample } from "../../train/data/batches.ts";
import type { RewardSettings } from "../../train/method-settings.ts";
import type { BatchResult } from "../../train/objective/objective.ts";
import { advantagesOf, scoreGroup } from "../../train/objective/rewards.ts";
import type { ExampleSet } from "../../train/data/run-data.ts";
import type { Run } from "../../train/run.ts";
import type { RewardMeasures } from "../../train/step-log.ts";
import { adapterOf } from "../../train/trained-adapter.ts";
import type { TrainModel } from "../../train/train-model.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { startCommandEngine } from "../shared/eval-engine.ts";
import type { TrainConfig } from "./flags.ts";
import type { Grading } from "./grading.ts";

/** Maximum number of answers that the engine decodes at once. */
const MAX_ROWS = 64;

interface Parts {
  readonly engine: Pick<Engine, "submit" | "dropAdapter">;
  readonly tokenizer: Tokenizer;
  readonly stopIds: readonly number[];
  readonly grading: Grading;
  readonly settings: RewardSettings;
  readonly maxLength: number;
  readonly seed: number;
  readonly order: BatchSource;
  readonly training: ExampleSet;
  readonly evaluation: ExampleSet | null;
  /** The file of the adapter with its present values. */
  readonly adapterBytes: () => Uint8Array;
}

interface Sampled {
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly text: string;
}

/** Starts the engine, which `cleanup` stops. @throws {AppError} */
export async function startRollouts(
  base: Base,
  config: TrainConfig,
  run: Run,
  model: TrainModel,
  grading: Grading,
  cleanup: Cleanup,
): Promise<RewardRollouts> {
  const { plan, training, evaluation, batches, maxLength } = run;
  const settings = run.flags.objective;
  if (plan === null || settings.kind !== "reward") throw new Error("internal: rewards train an adapter");
  const rows = config.batchSize * config.accumulate * settings.groupSize;
  const { device, threads } = config;
  const engine = await startCommandEngine(
    { device, threads, maxNumSeqs: Math.min(MAX_ROWS, rows), maxModelLen: maxLength, kvCacheBytes: null },
    base,
    [],
    cleanup,
  );
  const encoder = await loadExampleEncoder(base.dir);
  const extras = { endTokenIds: [], card: {} };
  const { parameters } = model;
  return new RewardRollouts({
    engine,
    tokenizer: encoder.tokenizer,
    stopIds: [...new Set([...base.manifest.endTokenIds, ...encoder.endTokenIds])],
    grading,
    settings,
    maxLength,
    seed: config.seed,
    order: batches,
    training,
    evaluation,
    adapterBytes: () => encodeAdapter(adapterOf(plan, base.manifest.baseId, parameters, parameters.values, extras)),
  });
}

export class RewardRollouts implements StepSource {
  readonly stepsPerEpoch: number;
  measures: RewardMeasures = {};
  readonly #parts: Parts;
  readonly #prompts: ReadonlyMap<TrainExample, RewardPrompt>;
  /** Generation of the adapter that the engine has. */
  #generation: string | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.stepsPerEpoch = parts.order.stepsPerEpoch;
    const sets = [parts.training, ...(parts.evaluation ? [parts.evaluation] : [])];
    const pairs = sets.flatMap(
      ({ examples, prompts = [] }) =>
        prompts.map((prompt, i): [TrainExample, RewardPrompt] => [examples[i] as TrainExample, prompt]), // one each
    );
    this.#prompts = new Map(pairs);
  }

  /** Samples and grades a group of answers to each prompt of the step. A group is a micro-batch. */
  async at(step: number): Promise<readonly MicroBatch[]> {
    const { order, settings, seed } = this.#parts;
    const prompts = order.at(step).flat();
    const random = seedRandom((Math.imul(seed ^ 0x2545f491, 0x9e3779b1) + step) >>> 0);
    const asked = prompts.flatMap((prompt) => Array.from({ length: settings.groupSize }, () => prompt));
    const answers = await this.#sample(asked.map((prompt) => ({ prompt, temperature: 1, seed: nextUint32(random) })));
    const rewards = await this.#grade(asked, answers);
    const groups = prompts.map((prompt, i) => {
      const place = [i * settings.groupSize, (i + 1) * settings.groupSize] as const;
      return { prompt, answers: answers.slice(...place), rewards: rewards.slice(...place) };
    });
    const scores = groups.map((group) => scoreGroup(group.rewards));
    const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
    this.measures = {
      reward: mean(rewards),
      reward_std: mean(scores.map(({ deviation }) => deviation)),
      frac_reward_zero_std: mean(scores.map(({ deviation }) => Number(deviation === 0))),
      "completions/mean_length": mean(answers.map(({ ids }) => ids.length)),
    };
    // Equal rewards have no gradient. If all groups of a step have equal rewards, one group is kept, so that the
    // optimiser has a gradient of 0.
    const teaching = groups.filter((_, i) => scores[i]?.deviation !== 0);
    return (teaching.length > 0 ? teaching : groups.slice(0, 1)).map(({ prompt, ...group }) => {
      const advantages = advantagesOf(group.rewards);
      return group.answers.map((answer, j) => exampleOf(prompt, answer, advantages[j] ?? 0));
    });
  }

  /** Mean reward of the likeliest answers to held-out prompts. The loss is its distance from 1. */
  async evaluate(): Promise<BatchResult> {
    const prompts = this.#parts.evaluation?.examples ?? [];
    const answers = await this.#sample(prompts.map((prompt) => ({ prompt, temperature: 0, seed: 0 })));
    const rewards = await this.#grade(prompts, answers);
    const reward = rewards.reduce((sum, one) => sum + one, 0) / rewards.length;
    return { loss: 1 - reward, measures: { reward } };
  }

  async #grade(prompts: readonly TrainExample[], answers: readonly Sampled[]): Promise<readonly number[]> {
    const pairs = prompts.map((example, i) => {
      const prompt = this.#prompts.get(example);
      if (!prompt) throw new Error("internal: an example that is no prompt");
      return { prompt, text: answers[i]?.text ?? "" };
    });
    return await this.#parts.grading.grade(pairs);
  }

  /** Answers under the adapter's present values. */
  async #sample(wanted: readonly Wanted[]): Promise<readonly Sampled[]> {
    const { engine, adapterBytes } = this.#parts;
    const inlineBytes = adapterBytes();
    const generation = generationOf(inlineBytes);
    if (this.#generation !== null && this.#generation !== generation) engine.dropAdapter(this.#generation);
    this.#generation = generation;
    return await Promise.all(wanted.map((one) => this.#answer(one, { generation, inlineBytes })));
  }

  async #answer({ prompt, temperature, seed }: Wanted, adapter: SequenceRequest["adapter"]): Promise<Sampled> {
    const { engine, tokenizer, stopIds, settings, maxLength } = this.#parts;
    const stops = new Set(stopIds);
    const [ids, logprobs]: [number[], number[]] = [[], []];
    const stream = engine.submit({
      ...PLAIN_REQUEST,
      promptIds: prompt.ids,
      adapter,
      sampling: { ...GREEDY, temperature, seed },
      maxTokens: Math.min(settings.maxAnswerTokens, maxLength - prompt.ids.length),
      stopIds,
      numLogprobs: 0,
    });
    for await (const event of stream) {
      if (event.type !== "token") continue;
      ids.push(event.tokenId);
      logprobs.push(event.logprob?.logprob ?? Number.NaN);
    }
    return { ids, logprobs, text: tokenizer.decode(ids.filter((id) => !stops.has(id))) };
  }
}

interface Wanted {
  readonly prompt: TrainExample;
  readonly temperature: number;
  readonly seed: number;
}

/** The prompt with an answer to learn from. The end token is a part of the answer. */
function exampleOf(prompt: TrainExample, { ids, logprobs }: Sampled, advantage: number): TrainExample {
  const all = Int32Array.from([...prompt.ids, ...ids]);
  return {
    ids: all,
    lossMask: new Uint8Array(all.length).fill(1, prompt.ids.length),
    numLossTokens: ids.length,
    rollout: { advantage, logprobs: Float32Array.from(logprobs) },
  };
}
