/**
 * Finds the tokens of a conversation that are learnt: the assistant's turns with their end-of-turn tokens, without the
 * template's headers. Templates do not mark turns, so the spans are found by rendering. The rendered conversation up to
 * a turn shows where the turn begins. The rendered conversation with a changed message shows where it ends.
 */
import { AppError, quote } from "../errors.ts";
import type { ChatMessage } from "../tokenizer/chat/chat-message.ts";
import type { ChatTemplate, RenderOptions } from "../tokenizer/chat/chat-template.ts";
import { type RenderedChat, renderChat } from "../tokenizer/chat/chat.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Conversation } from "./conversation.ts";

/** Ids of a whole conversation, with a mask of learnt tokens (1) and others (0). */
export interface ChatIds {
  readonly ids: readonly number[];
  readonly isLearnt: Uint8Array;
}

/** The template's inputs besides the messages, equal in every render. */
export function renderOptions({ tools, templateKwargs }: Conversation): RenderOptions {
  return { tools: tools ?? undefined, kwargs: templateKwargs ?? undefined };
}

/** The roles that every template is expected to show, or to refuse. */
const COMMON_ROLES: ReadonlySet<string> = new Set(["system", "user", "assistant", "tool"]);

/** Most templates drop messages of a role that they do not know, such as "human", without a word. */
function assertAllShown(text: string, messages: readonly ChatMessage[], render: Render): void {
  const mark = unusedCharacter(text);
  messages.forEach((message, i) => {
    if (COMMON_ROLES.has(message.role)) return;
    const changed = messages.map((one, j) => (i === j ? { ...one, content: mark } : one));
    if (tryRender(() => render(changed, false).text) !== text) return;
    throw new AppError(
      "invalid_request",
      `the chat template leaves out message ${i + 1}, which has the role ${quote(message.role)}. Give it a role that the template shows, such as "user" or "system".`,
    );
  });
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * @param endIds tokens that end a generation. @throws {AppError} invalid_request where the template refuses the
 * conversation.
 */
export function encodeChatSpans(
  tokenizer: Tokenizer,
  template: ChatTemplate | undefined,
  conversation: Conversation,
  endIds: ReadonlySet<number>,
): ChatIds {
  const { messages } = conversation;
  const options = renderOptions(conversation);
  const render: Render = (part, addGenerationPrompt) =>
    renderChat(tokenizer, template, part, { ...options, addGenerationPrompt });
  const whole = render(messages, false);
  assertAllShown(whole.text, messages, render);
  const ids = whole.encode(whole.text);
  const isLearnt = new Uint8Array(ids.length);
  conversation.isLearnt.forEach((isTurnLearnt, i) => {
    if (!isTurnLearnt) return;
    const span = turnSpan(whole.text, messages, i, render);
    const from = tokensBefore(whole, ids, span.start).stable;
    const { stable, straddles } = tokensBefore(whole, ids, span.end);
    const to = endOfTurn(tokenizer, ids, straddles ? stable + 1 : stable, endIds);
    isLearnt.fill(1, from, Math.max(from, to));
  });
  return { ids, isLearnt };
}

type Render = (part: readonly ChatMessage[], addGenerationPrompt: boolean) => RenderedChat;

/** The range of the turn of message `index` in the whole text. The text after it belongs to the template. */
function turnSpan(text: string, messages: readonly ChatMessage[], index: number, render: Render): Span {
  const changed = changedSpan(text, messages, index, render);
  // The server's prompt before this turn shows best where it begins. Some templates cannot render it.
  const header = index === 0 ? undefined : tryRender(() => render(messages.slice(0, index), true).text);
  const start = header !== undefined && text.startsWith(header) ? header.length : changed.start;
  return { start, end: Math.max(start, changed.end) };
}

/** The range of the text that changes with the message. */
function changedSpan(text: string, messages: readonly ChatMessage[], index: number, render: Render): Span {
  const mark = unusedCharacter(text);
  const changed = messages.map((message, i) => (i === index ? { role: message.role, content: mark } : message));
  const other = tryRender(() => render(changed, false).text);
  if (other === undefined) {
    // The template needs this very message, for example for a following tool
    // result. The turn then ends where the text rendered up to it ends.
    const upTo = render(messages.slice(0, index + 1), false).text;
    const before = render(messages.slice(0, index), false).text;
    return { start: commonPrefix(text, before), end: commonPrefix(text, upTo.trimEnd()) };
  }
  const start = commonPrefix(text, other);
  return { start, end: text.length - commonSuffix(text, other, Math.min(text.length, other.length) - start) };
}

/** A template may refuse a conversation that is cut off here, or that misses a call. */
function tryRender(render: () => string): string | undefined {
  try {
    return render();
  } catch {
    return undefined;
  }
}

/** A private-use character that the text does not contain, so that it differs from any character in its place. */
function unusedCharacter(text: string): string {
  for (let code = 0xe000; code <= 0xf8ff; code++) {
    const character = String.fromCharCode(code);
    if (!text.includes(character)) return character;
  }
  throw new Error("internal: a conversation with every private-use character");
}

function commonPrefix(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

function commonSuffix(a: string, b: string, most: number): number {
  let length = 0;
  while (length < most && a.charCodeAt(a.length - 1 - length) === b.charCodeAt(b.length - 1 - length)) length++;
  return length;
}

/** Number of ids that lie wholly before `position`, and whether the next one crosses it. */
function tokensBefore(
  whole: RenderedChat,
  ids: readonly number[],
  position: number,
): { readonly stable: number; readonly straddles: boolean } {
  const before = whole.encode(whole.text.slice(0, position));
  let stable = 0;
  while (stable < before.length && before[stable] === ids[stable]) stable++;
  return { stable, straddles: stable < before.length };
}

/**
 * The position after the token that ends the turn. That token follows at once, or after white space where it ends a
 * generation.
 */
function endOfTurn(
  tokenizer: Tokenizer,
  ids: readonly number[],
  position: number,
  endIds: ReadonlySet<number>,
): number {
  for (let at = position; at < ids.length; at++) {
    const id = ids[at] ?? -1;
    if (endIds.has(id) || (at === position && tokenizer.isSpecial(id))) return at + 1;
    if (tokenizer.isSpecial(id) || tokenizer.decode([id]).trim() !== "") return position;
  }
  return position;
}
