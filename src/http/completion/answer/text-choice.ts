/**
 * One choice of a completion, built event by event. The same parts make a stream's chunks and, joined, the whole
 * answer.
 */
import type { Text } from "../../context.ts";
import type { ChoiceEvent, PromptLogprob } from "../generation.ts";
import { appendLogprob, type CompletionLogprobs, countCharacters, emptyCompletionLogprobs } from "./logprobs.ts";
import { type PromptLogprobs, promptLogprobs, withTop } from "./prompt-logprobs.ts";
import type { Choice } from "./openai-answer.ts";
import type { Prompt } from "../prompts.ts";

export interface TextChoiceOptions {
  readonly text: Text;
  readonly prompt: Prompt;
  readonly echoes: boolean;
  /** Alternatives listed for each token; null: no log-probabilities. */
  readonly numLogprobs: number | null;
  /** Alternatives of `prompt_logprobs`; null: the prompt is not scored. */
  readonly numPromptLogprobs: number | null;
  readonly hasTokenIds: boolean;
  readonly skipsSpecial: boolean;
}

/** The part that one event adds to a choice. */
export interface TextPart {
  text: string;
  logprobs: CompletionLogprobs | null;
  finish_reason: "stop" | "length" | null;
  token_ids?: number[];
  prompt_token_ids?: readonly number[];
  prompt_logprobs?: PromptLogprobs;
}

export class TextChoice implements Choice {
  readonly #options: TextChoiceOptions;
  readonly #whole: TextPart;
  #numTokens = 0;
  #sumLogprob = 0;
  /** Characters of text up to now. */
  #offset = 0;
  #hasBegun = false;

  constructor(options: TextChoiceOptions) {
    this.#options = options;
    this.#whole = this.#emptyPart();
  }

  get numTokens(): number {
    return this.#numTokens;
  }

  get meanLogprob(): number {
    return this.#sumLogprob / Math.max(1, this.#numTokens);
  }

  /** The part this event adds; none when it adds nothing to send. */
  add(event: ChoiceEvent): TextPart[] {
    const part = this.#emptyPart();
    if (!this.#hasBegun) this.#begin(part, event.type === "scored" ? event.logprobs : null);
    if (event.type === "token") {
      const { id, logprob, text } = event.token;
      this.#numTokens += 1;
      this.#sumLogprob += logprob?.logprob ?? 0;
      if (part.logprobs && logprob) appendLogprob(part.logprobs, this.#options.text, id, logprob, this.#offset);
      part.token_ids?.push(id);
      this.#append(part, text);
    }
    if (event.type === "finished") {
      this.#append(part, event.text);
      part.finish_reason = event.reason;
    }
    this.#join(part);
    const isEmpty = part.text === "" && part.finish_reason === null && !part.prompt_token_ids;
    return isEmpty && !part.logprobs?.tokens.length && !part.token_ids?.length ? [] : [part];
  }

  /** All parts together. */
  whole(): TextPart {
    return this.#whole;
  }

  #emptyPart(): TextPart {
    const { numLogprobs, hasTokenIds } = this.#options;
    return {
      text: "",
      logprobs: numLogprobs === null ? null : emptyCompletionLogprobs(),
      finish_reason: null,
      ...(hasTokenIds ? { token_ids: [] } : {}),
    };
  }

  /** The part before the first token: the prompt, if it is to be echoed. */
  #begin(part: TextPart, scores: readonly PromptLogprob[] | null): void {
    this.#hasBegun = true;
    const { prompt, echoes, hasTokenIds, skipsSpecial, text, numLogprobs, numPromptLogprobs } = this.#options;
    if (hasTokenIds) part.prompt_token_ids = [...prompt.ids];
    if (scores && numPromptLogprobs !== null)
      part.prompt_logprobs = promptLogprobs(text, prompt.ids, scores, numPromptLogprobs);
    if (!echoes) return;
    const decoder = text.stream({ stop: [], includesStop: false, skipsSpecial });
    let decoded = "";
    prompt.ids.forEach((id, i) => {
      const score = i === 0 ? null : (scores?.[i - 1] ?? null);
      const logprob = score && withTop(score, numLogprobs ?? 0);
      if (part.logprobs) appendLogprob(part.logprobs, text, id, logprob, this.#offset + countCharacters(decoded));
      decoded += decoder.push(id, false).text;
    });
    this.#append(part, prompt.text ?? decoded + decoder.flush(false).text);
  }

  #append(part: TextPart, text: string): void {
    part.text += text;
    this.#offset += countCharacters(text);
  }

  #join(part: TextPart): void {
    const whole = this.#whole;
    whole.text += part.text;
    whole.finish_reason ??= part.finish_reason;
    if (part.token_ids) whole.token_ids?.push(...part.token_ids);
    if (part.prompt_token_ids) whole.prompt_token_ids = part.prompt_token_ids;
    if (part.prompt_logprobs) whole.prompt_logprobs = part.prompt_logprobs;
    if (!whole.logprobs || !part.logprobs) return;
    whole.logprobs.tokens.push(...part.logprobs.tokens);
    whole.logprobs.token_logprobs.push(...part.logprobs.token_logprobs);
    whole.logprobs.top_logprobs.push(...part.logprobs.top_logprobs);
    whole.logprobs.text_offset.push(...part.logprobs.text_offset);
  }
}
