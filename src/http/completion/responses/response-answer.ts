/**
 * The answer of the Responses API: one response, whole or as named events with sequence numbers. A finished response is
 * stored for the next turn.
 */
import type { Text } from "../../context.ts";
import type { ErrorBody } from "../../error-response.ts";
import type { AnswerPart } from "../answer/answer-part.ts";
import type { AnswerSplitter } from "../answer-format/answer-splitter.ts";
import { type ChatLogprob, chatLogprob } from "../answer/logprobs.ts";
import type { CompletionAnswer, CompletionJob } from "../completion-kind.ts";
import type { ChoiceEvent } from "../generation.ts";
import type { SharedFields } from "../request-schema.ts";
import { OutputItems } from "./output-items.ts";
import type { Item, ResponsesRequest } from "./request-schema.ts";
import { type ResponseState, responseBody, responseUsage } from "./response-body.ts";
import type { ResponseStore } from "./response-store.ts";
import { newOpenAiId, type Turn } from "./turn.ts";

/** A request with the turn that it belongs to. */
export interface ResponseFields extends SharedFields {
  readonly asked: ResponsesRequest;
  readonly turn: Turn;
}

export interface ResponseAnswerOptions {
  readonly text: Text;
  readonly store: ResponseStore;
  readonly hasLogprobs: boolean;
}

export class ResponseAnswer implements CompletionAnswer {
  readonly hasNamedEvents = true;
  readonly #job: CompletionJob<ResponseFields>;
  readonly #options: ResponseAnswerOptions;
  readonly #splitter: AnswerSplitter;
  readonly #output: OutputItems;
  readonly #id = newOpenAiId("resp_");
  readonly #createdAt = Math.floor(Date.now() / 1000);
  #sequenceNumber = 0;
  #numTokens = 0;
  #numReasoningTokens = 0;
  #state: ResponseState = { status: "in_progress" };
  /** Log-probabilities of tokens whose text is still held back. */
  #pendingLogprobs: ChatLogprob[] = [];

  constructor(job: CompletionJob<ResponseFields>, options: ResponseAnswerOptions) {
    this.#job = job;
    this.#options = options;
    this.#splitter = job.newSplitter();
    const summary = job.fields.asked.reasoning?.summary ?? null;
    this.#output = new OutputItems({ showsSummary: summary !== null });
  }

  add(_: number, event: ChoiceEvent): readonly object[] {
    const events = this.#sequenceNumber === 0 ? this.#begin() : [];
    const parts = this.#splitter.add(event);
    if (event.type === "token") this.#count(event, parts);
    for (const part of parts) {
      const logprobs = part.type === "text" ? this.#pendingLogprobs.splice(0) : [];
      events.push(...this.#numbered(this.#output.add(part, logprobs)));
    }
    if (event.type !== "finished") return events;
    this.#state =
      event.reason === "length"
        ? { status: "incomplete", incompleteReason: "max_output_tokens" }
        : { status: "completed" };
    return [...events, ...this.#numbered(this.#output.close(event.reason === "length" ? "incomplete" : "completed"))];
  }

  trailer(beside: object): readonly object[] {
    const response = { ...this.whole(), ...beside };
    return this.#numbered([{ type: `response.${this.#state.status}`, response }]);
  }

  failure({ error }: ErrorBody): readonly object[] {
    const { code, message, param } = error;
    this.#state = { status: "failed", error: { code, message } };
    return this.#numbered([
      { type: "error", code, message, param },
      { type: "response.failed", response: this.#body() },
    ]);
  }

  whole(): object {
    const response = this.#body();
    const { asked, turn } = this.#job.fields;
    const { items, numEarlier, tenant } = turn;
    if (asked.store !== false)
      this.#options.store.put(tenant, { response: response as { id: string; output: Item[] }, items, numEarlier });
    return response;
  }

  #begin(): object[] {
    const response = this.#body();
    return this.#numbered([
      { type: "response.created", response },
      { type: "response.in_progress", response },
    ]);
  }

  #count({ token }: Extract<ChoiceEvent, { type: "token" }>, parts: readonly AnswerPart[]): void {
    this.#numTokens += 1;
    const isReasoning = parts.length > 0 && parts.every(({ type }) => type === "reasoning");
    if (isReasoning) this.#numReasoningTokens += 1;
    else if (this.#options.hasLogprobs && token.logprob)
      this.#pendingLogprobs.push(chatLogprob(this.#options.text, token.id, token.logprob));
  }

  #body(): object {
    const { fields, target, prompts, numCached } = this.#job;
    const isOver = this.#state.status !== "in_progress";
    const numPrompt = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
    return responseBody(fields.asked, {
      id: this.#id,
      createdAt: this.#createdAt,
      model: target.model,
      state: this.#state,
      output: this.#output.whole(),
      isKept: this.#options.store.keeps && fields.asked.store !== false,
      usage: isOver ? responseUsage(numPrompt, numCached(), this.#numTokens, this.#numReasoningTokens) : null,
    });
  }

  #numbered(events: readonly object[]): object[] {
    return events.map((event) => ({ ...event, sequence_number: this.#sequenceNumber++ }));
  }
}
