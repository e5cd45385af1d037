/**
 * Makes a prompt that ends with the content of its last message, so that the answer continues it.
 * A mark after the content is rendered with it, and the prompt is cut there.
 * Source: `continue_final_message` of transformers 5 `apply_chat_template`.
 */
import { AppError } from "../../errors.ts";
import type { ChatMessage, ContentPart } from "./chat-message.ts";

/** The space in the mark shows whether the template keeps white space at the end of a content. */
const MARK = "CONTINUE_FINAL_MESSAGE_MARK ";

/**
 * The rendered prompt up to the end of the last content. @throws {AppError} invalid_request where no content can be
 * continued.
 */
export function renderOpenEnded(
  messages: readonly ChatMessage[],
  render: (messages: readonly ChatMessage[]) => string,
): string {
  const { content, marked } = markedContent(messages.at(-1));
  const last = { ...messages.at(-1), content: marked } as ChatMessage;
  const text = render([...messages.slice(0, -1), last]);
  const at = text.lastIndexOf(MARK.trimEnd());
  if (at < 0 || !text.includes(content.trim()))
    throw nothingToContinue("the chat template does not show its content as it is");
  const isSpaceKept = text.startsWith(MARK, at);
  return isSpaceKept ? text.slice(0, at) : text.slice(0, at).trimEnd();
}

function markedContent(message: ChatMessage | undefined): { content: string; marked: ChatMessage["content"] } {
  const content = message?.content;
  if (typeof content === "string") return { content, marked: content + MARK };
  const parts: readonly ContentPart[] = content ?? [];
  const place = parts.findLastIndex(({ text }) => typeof text === "string");
  const text = parts[place]?.text;
  if (text === undefined) throw nothingToContinue("it has no text");
  return { content: text, marked: parts.map((part, i) => (i === place ? { ...part, text: text + MARK } : part)) };
}

function nothingToContinue(reason: string): AppError {
  return new AppError("invalid_request", `"continue_final_message" cannot continue the last message: ${reason}.`, {
    param: "continue_final_message",
  });
}
