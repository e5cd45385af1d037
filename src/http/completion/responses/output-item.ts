/**
 * One item of a response's output, with the events that report its progress. Source: the streaming events of OpenAI's
 * API reference.
 */
import type { AnswerPart } from "../answer/answer-part.ts";
import type { ChatLogprob } from "../answer/logprobs.ts";
import { newOpenAiId } from "./turn.ts";

type Status = "in_progress" | "completed" | "incomplete";

/** An item that is being written. Its events do not have a sequence number yet. */
export abstract class OutputItem {
  readonly #index: number;
  readonly #id: string;
  protected status: Status = "in_progress";
  protected text = "";

  constructor(index: number, idPrefix: string) {
    this.#index = index;
    this.#id = newOpenAiId(idPrefix);
  }

  begin(): readonly object[] {
    const added = { type: "response.output_item.added", output_index: this.#index, item: this.whole() };
    return [added, ...this.firstEvents()];
  }

  end(status: "completed" | "incomplete"): readonly object[] {
    const last = this.lastEvents();
    this.status = status;
    return [...last, { type: "response.output_item.done", output_index: this.#index, item: this.whole() }];
  }

  /** The item as it is now. */
  whole(): object {
    return { id: this.#id, status: this.status, ...this.body() };
  }

  /** An event about the item's content. */
  protected event(type: string, fields: object): object {
    return { type: `response.${type}`, item_id: this.#id, output_index: this.#index, ...fields };
  }

  protected abstract body(): object;
  protected abstract firstEvents(): readonly object[];
  protected abstract lastEvents(): readonly object[];
}

/** A message of one text. */
export class TextItem extends OutputItem {
  readonly #logprobs: ChatLogprob[] = [];
  #hasPart = false;

  constructor(index: number) {
    super(index, "msg_");
  }

  write(text: string, logprobs: readonly ChatLogprob[]): readonly object[] {
    this.text += text;
    this.#logprobs.push(...logprobs);
    return [this.event("output_text.delta", { content_index: 0, delta: text, logprobs })];
  }

  protected body(): object {
    return { type: "message", role: "assistant", content: this.#hasPart ? [this.#part()] : [] };
  }

  protected firstEvents(): readonly object[] {
    this.#hasPart = true;
    return [this.event("content_part.added", { content_index: 0, part: this.#part() })];
  }

  protected lastEvents(): readonly object[] {
    return [
      this.event("output_text.done", { content_index: 0, text: this.text, logprobs: [...this.#logprobs] }),
      this.event("content_part.done", { content_index: 0, part: this.#part() }),
    ];
  }

  #part(): object {
    return { type: "output_text", text: this.text, annotations: [], logprobs: [...this.#logprobs] };
  }
}

/** The model's reasoning. */
export class ReasoningItem extends OutputItem {
  readonly #isSummary: boolean;
  #hasPart = false;

  constructor(index: number, isSummary: boolean) {
    super(index, "rs_");
    this.#isSummary = isSummary;
  }

  write(text: string): readonly object[] {
    this.text += text;
    return [
      this.#partEvent(this.#isSummary ? "reasoning_summary_text.delta" : "reasoning_text.delta", { delta: text }),
    ];
  }

  protected body(): object {
    const parts = this.#hasPart ? [this.#part()] : [];
    return { type: "reasoning", ...(this.#isSummary ? { summary: parts } : { summary: [], content: parts }) };
  }

  protected firstEvents(): readonly object[] {
    this.#hasPart = true;
    return [
      this.#partEvent(this.#isSummary ? "reasoning_summary_part.added" : "content_part.added", { part: this.#part() }),
    ];
  }

  protected lastEvents(): readonly object[] {
    const [text, part] = this.#isSummary
      ? ["reasoning_summary_text.done", "reasoning_summary_part.done"]
      : ["reasoning_text.done", "content_part.done"];
    return [this.#partEvent(text, { text: this.text }), this.#partEvent(part, { part: this.#part() })];
  }

  #partEvent(type: string, fields: object): object {
    return this.event(type, { ...(this.#isSummary ? { summary_index: 0 } : { content_index: 0 }), ...fields });
  }

  #part(): object {
    return { type: this.#isSummary ? "summary_text" : "reasoning_text", text: this.text };
  }
}

/** A call of a function. */
export class CallItem extends OutputItem {
  readonly #call: { readonly call_id: string; readonly name: string };

  constructor(index: number, { id, name }: Extract<AnswerPart, { type: "tool-call" }>) {
    super(index, "fc_");
    this.#call = { call_id: id, name };
  }

  write(text: string): readonly object[] {
    this.text += text;
    return [this.event("function_call_arguments.delta", { delta: text })];
  }

  protected body(): object {
    return { type: "function_call", ...this.#call, arguments: this.text };
  }

  protected firstEvents(): readonly object[] {
    return [];
  }

  protected lastEvents(): readonly object[] {
    return [this.event("function_call_arguments.done", { name: this.#call.name, arguments: this.text })];
  }
}
