/**
 * The output of a response: collects parts into items, and makes the events that stream them. Reasoning is a summary if
 * the request asks for one, otherwise reasoning text.
 */
import type { AnswerPart } from "../answer/answer-part.ts";
import type { ChatLogprob } from "../answer/logprobs.ts";
import { type OutputItem, TextItem, ReasoningItem, CallItem } from "./output-item.ts";

export class OutputItems {
  readonly #items: OutputItem[] = [];
  readonly #showsSummary: boolean;
  #open: OutputItem | null = null;

  /** @param showsSummary whether reasoning is written as a summary */
  constructor({ showsSummary }: { readonly showsSummary: boolean }) {
    this.#showsSummary = showsSummary;
  }

  /** @param logprobs of the tokens of a text @returns the events that the part adds to a stream */
  add(part: AnswerPart, logprobs: readonly ChatLogprob[]): readonly object[] {
    const open = this.#open;
    if (part.type === "tool-call") return this.#begin(new CallItem(this.#items.length, part));
    if (part.type === "tool-arguments") {
      if (!(open instanceof CallItem)) throw new Error("internal: arguments of a call came before the call");
      return open.write(part.text);
    }
    if (part.type === "reasoning") {
      if (open instanceof ReasoningItem) return open.write(part.text);
      const item = new ReasoningItem(this.#items.length, this.#showsSummary);
      return [...this.#begin(item), ...item.write(part.text)];
    }
    if (open instanceof TextItem) return open.write(part.text, logprobs);
    const item = new TextItem(this.#items.length);
    return [...this.#begin(item), ...item.write(part.text, logprobs)];
  }

  /** Ends the last item. An answer without parts is an empty message. */
  close(status: "completed" | "incomplete"): readonly object[] {
    const first = this.#items.length === 0 ? this.#begin(new TextItem(0)) : [];
    const events = [...first, ...(this.#open?.end(status) ?? [])];
    this.#open = null;
    return events;
  }

  whole(): readonly object[] {
    return this.#items.map((item) => item.whole());
  }

  #begin(item: OutputItem): readonly object[] {
    const events = [...(this.#open?.end("completed") ?? []), ...item.begin()];
    this.#items.push(item);
    this.#open = item;
    return events;
  }
}
