/** One choice of a chat completion, built event by event. */
import type { Text } from "../../context.ts";
import type { AnswerSplitter } from "../answer-format/answer-splitter.ts";
import type { ChoiceEvent, TokenLogprob } from "../generation.ts";
import type { AnswerPart } from "./answer-part.ts";
import type { Choice } from "./openai-answer.ts";
import { chatLogprob, type ChatLogprob } from "./logprobs.ts";
import { type PromptLogprobs, promptLogprobs } from "./prompt-logprobs.ts";

export interface ChatChoiceOptions {
  readonly text: Text;
  readonly splitter: AnswerSplitter;
  readonly promptIds: Int32Array;
  readonly hasLogprobs: boolean;
  readonly hasTokenIds: boolean;
  /** Whether reasoning is part of the answer. */
  readonly hasReasoning: boolean;
  /** Alternatives of `prompt_logprobs`; null: the prompt is not scored. */
  readonly numPromptLogprobs: number | null;
}

interface ChatLogprobs {
  readonly content: ChatLogprob[];
  readonly refusal: null;
}

type FinishReason = "stop" | "length" | "tool_calls";

interface ToolCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: "function";
  readonly function: { readonly name?: string; readonly arguments: string };
}

/**
 * The part that one event adds to a choice. Reasoning has two names: vLLM's newer name, and the name that most clients
 * read.
 */
export interface ChatPart {
  delta: {
    role?: "assistant";
    content?: string;
    reasoning_content?: string;
    reasoning?: string;
    tool_calls?: readonly ToolCallDelta[];
  };
  logprobs: ChatLogprobs | null;
  finish_reason: FinishReason | null;
  token_ids?: number[];
  prompt_token_ids?: readonly number[];
}

interface ToolCall {
  readonly id: string;
  readonly name: string;
  arguments: string;
}

export class ChatChoice implements Choice {
  readonly #options: ChatChoiceOptions;
  readonly #content: string[] = [];
  readonly #reasoning: string[] = [];
  readonly #calls: ToolCall[] = [];
  readonly #logprobs: ChatLogprobs | null;
  readonly #tokenIds: number[] = [];
  #promptLogprobs: PromptLogprobs | null = null;
  #finishReason: FinishReason | null = null;
  #numTokens = 0;
  #numReasoningTokens = 0;

  constructor(options: ChatChoiceOptions) {
    this.#options = options;
    this.#logprobs = options.hasLogprobs ? { content: [], refusal: null } : null;
  }

  get numTokens(): number {
    return this.#numTokens;
  }

  get numReasoningTokens(): number {
    return this.#numReasoningTokens;
  }

  /** The parts this event adds. The first event's part begins with the role. */
  add(event: ChoiceEvent): ChatPart[] {
    const { text, promptIds, numPromptLogprobs, splitter } = this.#options;
    if (event.type === "scored") {
      this.#promptLogprobs = promptLogprobs(text, promptIds, event.logprobs, numPromptLogprobs ?? 0);
      return [];
    }
    const parts: ChatPart[] = [];
    if (this.#numTokens === 0 && this.#finishReason === null) parts.push(this.#rolePart());
    const wasReasoning = splitter.isReasoning;
    parts.push(...splitter.add(event).flatMap((part) => this.#deltaOf(part)));
    if (event.type === "token") {
      this.#numTokens += 1;
      if (wasReasoning || splitter.isReasoning) this.#numReasoningTokens += 1;
      this.#addToken(parts, event.token.id, event.token.logprob);
      return parts;
    }
    this.#finishReason = this.#calls.length > 0 && event.reason === "stop" ? "tool_calls" : event.reason;
    parts.push({ delta: {}, logprobs: null, finish_reason: this.#finishReason });
    return parts;
  }

  /** The choice of an unstreamed answer. */
  whole(): object {
    const content = this.#content.join("");
    const reasoning = this.#reasoning.join("");
    return {
      message: {
        role: "assistant",
        content: content === "" && this.#calls.length > 0 ? null : content,
        refusal: null,
        ...(reasoning === "" ? {} : { reasoning_content: reasoning, reasoning }),
        ...(this.#calls.length === 0 ? {} : { tool_calls: this.#calls.map(wholeCall) }),
      },
      logprobs: this.#logprobs,
      finish_reason: this.#finishReason,
      ...(this.#options.hasTokenIds
        ? { token_ids: this.#tokenIds, prompt_token_ids: [...this.#options.promptIds] }
        : {}),
    };
  }

  /** Fields of an unstreamed answer besides its choices. */
  beside(): object {
    return this.#promptLogprobs === null ? {} : { prompt_logprobs: this.#promptLogprobs };
  }

  #rolePart(): ChatPart {
    const { hasTokenIds, promptIds } = this.#options;
    const ids = hasTokenIds ? { prompt_token_ids: [...promptIds] } : {};
    return { ...partOf({ role: "assistant", content: "" }), ...ids };
  }

  #deltaOf(part: AnswerPart): ChatPart[] {
    switch (part.type) {
      case "text":
        this.#content.push(part.text);
        return [partOf({ content: part.text })];
      case "reasoning":
        if (!this.#options.hasReasoning) return [];
        this.#reasoning.push(part.text);
        return [partOf({ reasoning_content: part.text, reasoning: part.text })];
      case "tool-call": {
        const { index, id, name } = part;
        this.#calls[index] = { id, name, arguments: "" };
        return [partOf({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] })];
      }
      case "tool-arguments": {
        const { index, text } = part;
        (this.#calls[index] as ToolCall).arguments += text; // its call has begun
        return [partOf({ tool_calls: [{ index, function: { arguments: text } }] })];
      }
    }
  }

  /** A token's id and log-probability go with the last part of its event. */
  #addToken(parts: ChatPart[], id: number, logprob: TokenLogprob | null): void {
    const { text, hasTokenIds } = this.#options;
    this.#tokenIds.push(id);
    const entry = this.#logprobs && logprob ? chatLogprob(text, id, logprob) : null;
    if (entry === null && !hasTokenIds) return;
    const last = parts.at(-1);
    const part = last === undefined || last.delta.role !== undefined ? partOf({}) : last;
    if (part !== last) parts.push(part);
    if (hasTokenIds) part.token_ids = [id];
    if (entry === null) return;
    this.#logprobs?.content.push(entry);
    part.logprobs = { content: [entry], refusal: null };
  }
}

const partOf = (delta: ChatPart["delta"]): ChatPart => ({ delta, logprobs: null, finish_reason: null });

const wholeCall = ({ id, name, arguments: text }: ToolCall): object => ({
  id,
  type: "function",
  function: { name, arguments: text },
});
