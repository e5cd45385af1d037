/**
 * A conversation → token ids. Without spellings of special tokens in the messages these are transformers' ids exactly;
 * spellings are encoded as text, or refused where that cannot be done. Special tokens come from the template alone.
 */
import { AppError } from "../errors.ts";
import type { ChatMessage } from "./chat-message.ts";
import type { ChatTemplate, RenderOptions } from "./chat-template.ts";
import { literalError } from "./literal-encoder.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Fields that templates compare with words of their own and that hold no text of the conversation. */
const NAMES: ReadonlySet<string> = new Set(["role", "type"]);

/** A rendered conversation. */
export interface RenderedChat {
  /** The prompt; spellings of special tokens that are meant as text are hidden in it (`Tokenizer.literals`). */
  readonly text: string;
  /** Ids of `text`, or of a piece of it. @throws {AppError} invalid_request. */
  encode(text: string): number[];
}

/** The ids of a conversation's prompt. @param onRendered called between rendering and encoding. @throws {AppError} invalid_request. */
export function encodeChat(
  tokenizer: Tokenizer,
  template: ChatTemplate | undefined,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
  onRendered: () => void = () => undefined,
): number[] {
  const rendered = renderChat(tokenizer, template, messages, options);
  onRendered();
  return rendered.encode(rendered.text);
}

/** The text of a conversation's prompt and how it is encoded. @throws {AppError} invalid_request. */
export function renderChat(
  tokenizer: Tokenizer,
  template: ChatTemplate | undefined,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
): RenderedChat {
  if (template === undefined) {
    throw new AppError("invalid_request", "This model has no chat template. Send a prompt to /v1/completions.");
  }
  const prompt = template.render(messages, options);
  const literal = findLiteral(tokenizer, messages);
  // The template writes bos itself where the model wants it.
  if (literal === undefined)
    return { text: prompt, encode: (text) => tokenizer.encode(text, { addSpecialTokens: false }) };
  const { literals } = tokenizer;
  if (literals.hasReserved(prompt)) throw literalError(literal);
  const hidden = template.render(mapStrings(messages, (text) => literals.hide(text)) as ChatMessage[], options);
  // A template that looks at the text (splits at a tag, escapes, cuts) may answer the hidden one differently.
  if (literals.restore(hidden) !== prompt) throw literalError(literal);
  return { text: hidden, encode: (text) => tokenizer.encodeHidden(text) };
}

function findLiteral(tokenizer: Tokenizer, messages: readonly ChatMessage[]): string | undefined {
  let found: string | undefined;
  mapStrings(messages, (text) => {
    found ??= tokenizer.literals.find(text);
    return text;
  });
  return found;
}

/** A copy of a JSON value with every string but role and type names mapped. */
function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === "string") return map(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, map));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, NAMES.has(key) ? item : mapStrings(item, map)]),
  );
}
