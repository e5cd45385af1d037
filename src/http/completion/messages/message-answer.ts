/** The answer of the Messages API: one message, whole or as named events. Source: Anthropic's API reference. */
import { randomUUID } from "node:crypto";
import type { ErrorBody } from "../../error-response.ts";
import type { AnswerSplitter } from "../answer-format/answer-splitter.ts";
import type { CompletionAnswer, CompletionJob } from "../completion-kind.ts";
import type { ChoiceEvent } from "../generation.ts";
import type { ChatRequest } from "../request-schema.ts";
import { ContentBlocks } from "./content-blocks.ts";
import { messagesError } from "./messages-error.ts";

type StopReason = "end_turn" | "max_tokens" | "stop_sequence" | "tool_use" | "model_context_window_exceeded";

export interface MessageAnswerOptions {
  /** Whether the context has fewer tokens left than the request asks for. */
  readonly endsWithContext: boolean;
}

export class MessageAnswer implements CompletionAnswer {
  readonly hasNamedEvents = true;
  readonly #job: CompletionJob<ChatRequest>;
  readonly #endsWithContext: boolean;
  readonly #splitter: AnswerSplitter;
  readonly #id = `msg_${randomUUID().replaceAll("-", "")}`;
  readonly #blocks = new ContentBlocks(this.#id);
  #hasBegun = false;
  #numTokens = 0;
  #stopReason: StopReason | null = null;
  #stopSequence: string | null = null;

  constructor(job: CompletionJob<ChatRequest>, { endsWithContext }: MessageAnswerOptions) {
    this.#job = job;
    this.#endsWithContext = endsWithContext;
    this.#splitter = job.newSplitter();
  }

  add(_: number, event: ChoiceEvent): readonly object[] {
    const events: object[] = [];
    if (event.type === "token") this.#numTokens += 1;
    if (!this.#hasBegun) events.push(...this.#begin());
    for (const part of this.#splitter.add(event)) events.push(...this.#blocks.add(part));
    if (event.type === "finished") this.#end(event);
    return events;
  }

  trailer(beside: object): readonly object[] {
    const delta = { ...NOTHING_SPECIAL, stop_reason: this.#stopReason, stop_sequence: this.#stopSequence };
    return [
      ...this.#blocks.close(),
      { type: "message_delta", delta, usage: this.#usage() },
      { type: "message_stop", ...beside },
    ];
  }

  failure({ error }: ErrorBody): readonly object[] {
    return [messagesError(error, null)];
  }

  whole(): object {
    return { ...this.#message(this.#blocks.whole()), usage: { ...this.#usage(), ...ELSEWHERE } };
  }

  #begin(): object[] {
    this.#hasBegun = true;
    const message = { ...this.#message([]), usage: { ...this.#usage(), ...ELSEWHERE } };
    return [{ type: "message_start", message }, { type: "ping" }];
  }

  #end({ reason, stop }: Extract<ChoiceEvent, { type: "finished" }>): void {
    this.#stopSequence = stop;
    if (this.#splitter.hasCalls) this.#stopReason = "tool_use";
    else if (reason === "length")
      this.#stopReason = this.#endsWithContext ? "model_context_window_exceeded" : "max_tokens";
    else this.#stopReason = stop === null ? "end_turn" : "stop_sequence";
  }

  #message(content: readonly object[]): object {
    return {
      id: this.#id,
      type: "message",
      role: "assistant",
      model: this.#job.target.model,
      content,
      ...NOTHING_SPECIAL,
      stop_reason: this.#stopReason,
      stop_sequence: this.#stopSequence,
    };
  }

  /** Anthropic counts prompt tokens from the cache separately. */
  #usage(): object {
    const numPrompt = this.#job.prompts.reduce((sum, { ids }) => sum + ids.length, 0);
    const numCached = this.#job.numCached();
    return {
      input_tokens: numPrompt - numCached,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: numCached,
      output_tokens: this.#numTokens,
      output_tokens_details: null,
      server_tool_use: null,
    };
  }
}

const NOTHING_SPECIAL = { container: null, stop_details: null };
const ELSEWHERE = { cache_creation: null, inference_geo: null, service_tier: "standard", speed: null };
