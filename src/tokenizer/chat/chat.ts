/**
 * A conversation → token ids. Without spellings of special tokens in the messages these are transformers' ids exactly;
 * spellings are encoded as text, or refused where that cannot be done. Special tokens come from the template alone.
 */
import { AppError } from "../../errors.ts";
import type { ChatMessage } from "./chat-message.ts";
import type { ChatTemplate, RenderOptions } from "./chat-template.ts";
import { mapJsonStrings } from "./exact-json.ts";
import { literalError } from "../literal-encoder.ts";
import type { Tokenizer } from "../tokenizer.ts";

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
  const plain = { text: prompt, encode: (text: string) => tokenizer.encode(text, { addSpecialTokens: false }) };
  const { literals } = tokenizer;
  const literal = findIn(messages, options, (text) => literals.find(text));
  const piece = literal ?? findIn(messages, options, (text) => literals.findPiece(text));
  // The template writes bos itself where the model wants it.
  if (piece === undefined) return plain;
  if (literals.hasReserved(prompt)) throw literalError(piece);
  const hidden = template.render(...mapTexts(messages, options, (text) => literals.hide(text)));
  const own = literals.findAll(hidden);
  // Without a spelling in one text, only pieces that text beside them completed are of interest.
  if (literal === undefined && isSame(own, literals.findAll(prompt))) return plain;
  // A template that looks at the text (splits at a tag, escapes, cuts) may answer the hidden one differently.
  if (literals.restore(hidden) !== prompt) throw literalError(piece);
  return { text: hidden, encode: (text) => tokenizer.encodeHidden(text) };
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((token, i) => token === other[i]);
}

/** The first special token that `find` sees in what the client sent. */
function findIn(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  find: (text: string) => string | undefined,
): string | undefined {
  let found: string | undefined;
  mapTexts(messages, options, (text) => {
    found ??= find(text);
    return text;
  });
  return found;
}

/**
 * A conversation, its tools and further variables with every text mapped. Roles and the types of parts stay, for templates compare them
 * with words of their own or make tags of them; so do variables that replace a special token by name.
 */
function mapTexts(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  map: (text: string) => string,
): [ChatMessage[], RenderOptions] {
  const mapped = mapJsonStrings({ messages, tools: options.tools, kwargs: options.kwargs }, (text, path) =>
    isName(path) ? text : map(text),
  );
  const { messages: mappedMessages, ...rest } = mapped as RenderOptions & { messages: ChatMessage[] };
  return [mappedMessages, { ...options, ...rest }];
}

const NAMES = /^(messages\/\d+\/(role|(content|tool_calls)\/\d+\/type)|tools\/\d+\/type|kwargs\/[^/]*_token)$/;

function isName(path: readonly string[]): boolean {
  return path.length <= 5 && NAMES.test(path.join("/"));
}
