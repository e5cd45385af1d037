/** One choice of a chat completion, built event by event. */
import type { Text } from "../../context.ts";
import type { ChoiceEvent } from "../generation.ts";
import type { Choice } from "./openai-answer.ts";
import { chatLogprob, type ChatLogprob } from "./logprobs.ts";
import { type PromptLogprobs, promptLogprobs } from "./prompt-logprobs.ts";

export interface ChatChoiceOptions {
  readonly text: Text;
  readonly promptIds: Int32Array;
  readonly hasLogprobs: boolean;
  readonly hasTokenIds: boolean;
  /** Alternatives of `prompt_logprobs`; null: the prompt is not scored. */
  readonly numPromptLogprobs: number | null;
}

interface ChatLogprobs {
  readonly content: ChatLogprob[];
  readonly refusal: null;
}

/** The part that one event adds to a choice. */
export interface ChatPart {
  delta: { role?: "assistant"; content?: string };
  logprobs: ChatLogprobs | null;
  finish_reason: "stop" | "length" | null;
  token_ids?: number[];
  prompt_token_ids?: readonly number[];
}

export class ChatChoice implements Choice {
  readonly #options: ChatChoiceOptions;
  readonly #content: string[] = [];
  readonly #logprobs: ChatLogprobs | null;
  readonly #tokenIds: number[] = [];
  #promptLogprobs: PromptLogprobs | null = null;
  #finishReason: "stop" | "length" | null = null;
  #numTokens = 0;

  constructor(options: ChatChoiceOptions) {
    this.#options = options;
    this.#logprobs = options.hasLogprobs ? { content: [], refusal: null } : null;
  }

  get numTokens(): number {
    return this.#numTokens;
  }

  /** The parts this event adds. The first event's part begins with the role. */
  add(event: ChoiceEvent): ChatPart[] {
    if (event.type === "scored") {
      const { text, promptIds, numPromptLogprobs } = this.#options;
      this.#promptLogprobs = promptLogprobs(text, promptIds, event.logprobs, numPromptLogprobs ?? 0);
      return [];
    }
    const parts: ChatPart[] = [];
    if (this.#numTokens === 0 && this.#finishReason === null) parts.push(this.#rolePart());
    const text = event.type === "token" ? event.token.text : event.type === "finished" ? event.text : "";
    if (event.type === "token") this.#numTokens += 1;
    if (text !== "") this.#content.push(text);
    const part: ChatPart = { delta: text === "" ? {} : { content: text }, logprobs: null, finish_reason: null };
    if (event.type === "token") this.#addToken(part, event.token.id, event.token.logprob);
    const isEmpty = text === "" && part.logprobs === null && part.token_ids === undefined;
    if (!isEmpty) parts.push(part);
    if (event.type !== "finished") return parts;
    this.#finishReason = event.reason;
    parts.push({ delta: {}, logprobs: null, finish_reason: event.reason });
    return parts;
  }

  /** The choice of an unstreamed answer. */
  whole(): object {
    return {
      message: { role: "assistant", content: this.#content.join(""), refusal: null },
      logprobs: this.#logprobs,
      finish_reason: this.#finishReason,
      ...(this.#options.hasTokenIds
        ? { token_ids: this.#tokenIds, prompt_token_ids: [...this.#options.promptIds] }
        : {}),
    };
  }

  /** Fields of an unstreamed answer beside its choices. */
  beside(): object {
    return this.#promptLogprobs === null ? {} : { prompt_logprobs: this.#promptLogprobs };
  }

  #rolePart(): ChatPart {
    const { hasTokenIds, promptIds } = this.#options;
    const ids = hasTokenIds ? { prompt_token_ids: [...promptIds] } : {};
    return { delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null, ...ids };
  }

  #addToken(part: ChatPart, id: number, logprob: Extract<ChoiceEvent, { type: "token" }>["token"]["logprob"]): void {
    const { text, hasTokenIds } = this.#options;
    this.#tokenIds.push(id);
    if (hasTokenIds) part.token_ids = [id];
    if (!this.#logprobs || !logprob) return;
    const entry = chatLogprob(text, id, logprob);
    this.#logprobs.content.push(entry);
    part.logprobs = { content: [entry], refusal: null };
  }
}
