/**
 * Converts the items of a Responses conversation to chat messages. A turn of the assistant is one message in chat, and
 * up to three kinds of items here: reasoning, a message and calls. Items that the model cannot read are refused. The
 * error names their place.
 */
import { AppError, quote } from "../../../errors.ts";
import { invalid } from "../../error-response.ts";
import type { ChatRequest } from "../request-schema.ts";
import type { Item } from "./request-schema.ts";

type Message = ChatRequest["messages"][number];
type Part = Readonly<Record<string, unknown>>;

const ROLES: ReadonlySet<unknown> = new Set(["user", "assistant", "system", "developer"]);
/** Parts that hold text, with the field of the text. */
const TEXT_FIELDS: Readonly<Record<string, string>> = {
  input_text: "text",
  output_text: "text",
  text: "text",
  reasoning_text: "text",
  summary_text: "text",
  refusal: "refusal",
};

/** @throws {AppError} unsupported_parameter, invalid_request. */
export function toMessages(items: readonly Item[]): Message[] {
  const messages: Message[] = [];
  /** The assistant's turn that further items belong to. */
  let turn: Message | null = null;
  items.forEach((item, index) => {
    const at = `input.${index}`;
    const type = item.type ?? (item.role === undefined ? undefined : "message");
    if (type === "function_call_output" || (type === "message" && item.role !== "assistant")) {
      turn = null;
      messages.push(type === "message" ? toMessage(item, at) : toToolMessage(item, at));
      return;
    }
    const addition = assistantPart(item, type, at);
    if (turn === null || (typeof addition.content === "string" && turn.content !== null)) {
      turn = { role: "assistant", content: null };
      messages.push(turn);
    }
    extend(turn, addition);
  });
  for (const message of messages) message.content ??= "";
  return messages;
}

/** The part that an item adds to a turn of the assistant. */
interface Addition {
  readonly content?: string;
  readonly reasoning?: string;
  readonly call?: Record<string, unknown>;
}

function assistantPart(item: Item, type: string | undefined, at: string): Addition {
  if (type === "message") return { content: textOf(item.content, `${at}.content`) };
  if (type === "function_call") return { call: toCall(item, at) };
  if (type === "reasoning") {
    const parts = [item.content, item.summary].find((list) => Array.isArray(list) && list.length > 0);
    return { reasoning: parts === undefined ? "" : textOf(parts, `${at}.content`) };
  }
  throw new AppError(
    "unsupported_parameter",
    `"${at}" has type ${quote(type ?? "none")}. Accepted: message, reasoning, function_call, function_call_output.`,
    { param: at },
  );
}

function extend(turn: Message, { content, reasoning, call }: Addition): void {
  if (content !== undefined) turn.content = content;
  if (reasoning !== undefined && reasoning !== "") {
    const before = typeof turn.reasoning_content === "string" ? `${turn.reasoning_content}\n` : "";
    turn.reasoning_content = before + reasoning;
  }
  if (call !== undefined) turn.tool_calls = [...(turn.tool_calls ?? []), call];
}

function toMessage(item: Item, at: string): Message {
  if (!ROLES.has(item.role))
    throw invalid(
      `"${at}.role" should be user, assistant, system or developer, found ${shown(item.role)}.`,
      `${at}.role`,
    );
  const role = item.role as Message["role"];
  return { role, content: textOf(item.content, `${at}.content`) };
}

function toToolMessage({ call_id: id, output }: Item, at: string): Message {
  if (typeof id !== "string")
    throw invalid(`"${at}.call_id" should be the call_id of a function_call.`, `${at}.call_id`);
  return { role: "tool", tool_call_id: id, content: textOf(output, `${at}.output`) };
}

function toCall({ call_id: id, name, arguments: args }: Item, at: string): Record<string, unknown> {
  if (typeof id !== "string" || typeof name !== "string" || typeof args !== "string")
    throw invalid(
      `"${at}" is a function_call and should have "call_id", "name" and "arguments", all of them text.`,
      at,
    );
  return { id, type: "function", function: { name, arguments: args } };
}

/** Text, or parts that hold text, joined as vLLM joins them. */
function textOf(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw invalid(`"${at}" should be text or a list of parts, found ${shown(content)}.`, at);
  return (content as Part[]).map((part, i) => partText(part, `${at}.${i}`)).join("\n");
}

function partText(part: Part, at: string): string {
  const type = typeof part === "object" && part !== null ? part.type : undefined;
  const field = typeof type === "string" ? TEXT_FIELDS[type] : undefined;
  if (field === undefined)
    throw new AppError("unsupported_parameter", `"${at}" has type ${shown(type)}, but this server accepts only text.`, {
      param: at,
    });
  const text = part[field];
  if (typeof text !== "string") throw invalid(`"${at}.${field}" is missing.`, at);
  return text;
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 80);
}
