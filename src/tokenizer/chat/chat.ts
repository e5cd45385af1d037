/**
 * Converts a conversation to token ids. They equal transformers' ids exactly if no message contains the text of a
 * special token. Such text is encoded as text, or refused where that is impossible. Special tokens come only from the
 * template.
 */
import { AppError } from "../../errors.ts";
import type { ChatMessage } from "./chat-message.ts";
import type { ChatTemplate, RenderOptions } from "./chat-template.ts";
import { mapJsonStrings } from "./exact-json.ts";
import { literalError } from "../literal-encoder.ts";
import type { Tokenizer } from "../tokenizer.ts";

/** A rendered conversation. */
export interface RenderedChat {
  /** The prompt. Spellings of special tokens that are meant as text are hidden in it (`Tokenizer.literals`). */
  readonly text: string;
  /** Ids of `text`, or of a piece of it. @throws {AppError} invalid_request. */
  encode(text: string): number[];
}

/**
 * The ids of a conversation's prompt. @param onRendered called between rendering and encoding. @throws {AppError}
 * invalid_request.
 */
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

/** The text of a conversation's prompt and the function that encodes it. @throws {AppError} invalid_request. */
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
  // The template itself writes bos if the model needs it.
  if (piece === undefined) return plain;
  if (literals.hasReserved(prompt)) throw literalError(piece);
  const hidden = template.render(...mapTexts(messages, options, (text) => literals.hide(text)));
  const own = literals.findAll(hidden);
  // No single text contains a spelling here. Only pieces that adjacent text completes matter.
  if (literal === undefined && isSame(own, literals.findAll(prompt))) return plain;
  // A template that inspects the text (splits at a tag, escapes, cuts) may treat the hidden text differently.
  if (literals.restore(hidden) !== prompt) throw literalError(piece);
  return { text: hidden, encode: (text) => tokenizer.encodeHidden(text) };
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((token, i) => token === other[i]);
}

/** The first special token that `find` finds in the client's texts. */
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
 * Maps every text of a conversation, its tools and further variables.
 * Roles and the types of parts stay unchanged, because templates compare them with fixed words or make tags from them.
 * Variables that replace a special token by name stay unchanged too.
 */
function mapTexts(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  map: (text: string) => string,
): [ChatMessage[], RenderOptions] {
  const mapped = mapJsonStrings({ messages, tools: options.tools, kwargs: options.kwargs }, (text, path) =>
    isName(path) || isStandardKey(text, path) ? text : map(text),
  );
  const { messages: mappedMessages, ...rest } = mapped as RenderOptions & { messages: ChatMessage[] };
  return [mappedMessages, { ...options, ...rest }];
}

/** Keys of the standard form. A vocabulary may have a special token that is a part of such a key. */
const STANDARD_KEYS: ReadonlySet<string> = new Set(
  "messages tools kwargs role content name type text function arguments parameters description id tool_calls tool_call_id reasoning_content reasoning thinking".split(
    " ",
  ),
);
const OBJECTS = /^(|messages\/\d+|messages\/\d+\/(content|tool_calls)\/\d+(\/function)?|tools\/\d+(\/function)?)$/;
const NAMES = /^(messages\/\d+\/(role|(content|tool_calls)\/\d+\/type)|tools\/\d+\/type|kwargs\/[^/]*_token)$/;

function isName(path: readonly string[]): boolean {
  return path.length <= 5 && NAMES.test(path.join("/"));
}

/** @param path of the object that has the key */
function isStandardKey(key: string, path: readonly string[]): boolean {
  return path.length <= 5 && STANDARD_KEYS.has(key) && OBJECTS.test(path.join("/"));
}
