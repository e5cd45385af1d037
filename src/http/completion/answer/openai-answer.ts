/** An answer in OpenAI's frame, which chat and text completions share: a head, choices, usage. */
import { randomUUID } from "node:crypto";
import type { ErrorBody } from "../../error-response.ts";
import type { CompletionAnswer, CompletionJob } from "../completion-kind.ts";
import type { ChoiceEvent } from "../generation.ts";
import type { Prompt } from "../prompts.ts";
import type { SharedFields } from "../request-schema.ts";
import { usageOf } from "./usage.ts";

/** One sequence of an answer. */
export interface Choice {
  readonly numTokens: number;
  /** The number of these tokens that belong to reasoning. */
  readonly numReasoningTokens?: number;
  /** Notes an event. @returns the parts that a stream sends for it */
  add(event: ChoiceEvent): readonly object[];
  /** All parts together. */
  whole(): object;
  /** Mean log-probability of the answer's tokens, if choices are compared by it. */
  readonly meanLogprob?: number;
  /** Fields of an unstreamed answer besides its choices. The answer takes those of the first choice. */
  beside?(): object;
}

export interface OpenAiFrame {
  readonly idPrefix: string;
  /** `object` of a whole answer, and of a chunk. */
  readonly object: string;
  readonly chunkObject: string;
}

export class OpenAiAnswer<F extends SharedFields> implements CompletionAnswer {
  readonly hasNamedEvents = false;
  readonly #frame: OpenAiFrame;
  readonly #job: CompletionJob<F>;
  readonly #choices: readonly Choice[];
  readonly #numSequences: number;
  readonly #head: object;
  readonly #hasUsage: boolean;
  readonly #hasRunningUsage: boolean;

  /**
   * @param numSequences sequences of each prompt; the `n` likeliest are answered
   * @param newChoice called for every sequence
   */
  constructor(frame: OpenAiFrame, job: CompletionJob<F>, numSequences: number, newChoice: (prompt: Prompt) => Choice) {
    const { fields, prompts, target } = job;
    this.#frame = frame;
    this.#job = job;
    this.#choices = prompts.flatMap((prompt) => Array.from({ length: numSequences }, () => newChoice(prompt)));
    this.#numSequences = numSequences;
    this.#head = {
      id: `${frame.idPrefix}${randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: target.model,
      system_fingerprint: target.fingerprint,
    };
    this.#hasUsage = fields.stream_options?.include_usage === true;
    this.#hasRunningUsage = fields.stream_options?.continuous_usage_stats === true;
  }

  add(index: number, event: ChoiceEvent): readonly object[] {
    const choice = this.#choices[index] as Choice; // one for each sequence
    return choice
      .add(event)
      .map((part) => this.#chunk([{ index, ...part }], this.#hasRunningUsage ? this.#usage() : null));
  }

  trailer(beside: object): readonly object[] {
    const isEmpty = !this.#hasUsage && Object.keys(beside).length === 0;
    return isEmpty ? [] : [{ ...this.#chunk([], this.#hasUsage ? this.#usage() : null), ...beside }];
  }

  failure(error: ErrorBody): readonly object[] {
    return [error];
  }

  whole(): object {
    const choices = this.#answered().map((choice, index) => ({ index, ...choice.whole() }));
    const beside = this.#choices[0]?.beside?.();
    return { ...this.#head, object: this.#frame.object, choices, usage: this.#usage(), ...beside };
  }

  /** Each prompt's likeliest choices, best first. If all choices are wanted, they keep their order. */
  #answered(): readonly Choice[] {
    const n = this.#job.fields.n ?? 1;
    if (n === this.#numSequences) return this.#choices;
    const likelihood = ({ meanLogprob = -Infinity }: Choice) => meanLogprob;
    return this.#job.prompts.flatMap((_, prompt) =>
      this.#choices
        .slice(prompt * this.#numSequences, (prompt + 1) * this.#numSequences)
        .sort((a, b) => likelihood(b) - likelihood(a))
        .slice(0, n),
    );
  }

  #chunk(choices: readonly object[], usage: object | null): object {
    const ofUsage = this.#hasUsage || usage !== null ? { usage } : {};
    return { ...this.#head, object: this.#frame.chunkObject, choices, ...ofUsage };
  }

  #usage(): object {
    const { prompts, numCached } = this.#job;
    const promptTokens = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
    const completionTokens = this.#choices.reduce((sum, { numTokens }) => sum + numTokens, 0);
    const reasoningTokens = this.#choices.reduce((sum, { numReasoningTokens = 0 }) => sum + numReasoningTokens, 0);
    return usageOf(promptTokens, numCached(), completionTokens, reasoningTokens);
  }
}
