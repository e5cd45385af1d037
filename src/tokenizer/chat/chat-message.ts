/**
 * Checks the messages of a conversation before a template reads them.
 * No template may print JSON or receive content it cannot handle.
 * Null fields are dropped and reasoning gets its standard name, as in transformers 5.24.
 * Knows the shape of messages, but no syntax of templates.
 */
import { AppError, quote } from "../../errors.ts";
import { parseExactJson } from "./exact-json.ts";

/** One part of a message's content. Only text parts can be flattened. */
export interface ContentPart {
  readonly type: string;
  readonly text?: string;
  readonly [key: string]: unknown;
}

/** One message. Other fields (`name`, `tool_calls`, `tool_call_id`, …) reach the template unchanged. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly ContentPart[] | null;
  readonly [key: string]: unknown;
}

/** The abilities of a template, read from its source. */
export interface TemplateAbilities {
  /** Whether it tests that a content is a string, or loops over one. */
  readonly takesParts: boolean;
  /** Whether it tests that the arguments of a tool call are a string. */
  readonly takesStringArguments: boolean;
  /** Whether it calls the tools `xml_tools`, as SmolLM3's does. */
  readonly takesXmlTools: boolean;
}

function fail(param: string, message: string): never {
  throw new AppError("invalid_request", message, { param });
}

/**
 * Checked messages, flattened where the template accepts only strings. @throws {AppError} invalid_request with the
 * field's path.
 */
export function prepareMessages(messages: readonly ChatMessage[], abilities: TemplateAbilities): ChatMessage[] {
  if (messages.length === 0) fail("messages", "A conversation needs at least one message.");
  return messages.map((message, i) => prepareMessage(message, `messages[${i}]`, abilities));
}

function prepareMessage(message: ChatMessage, path: string, abilities: TemplateAbilities): ChatMessage {
  if (typeof message !== "object" || message === null || Array.isArray(message))
    fail(path, `${path} should be an object with role and content.`);
  if (typeof message.role !== "string" || !/^[\w-]{1,64}$/.test(message.role)) {
    fail(`${path}.role`, `${path}.role should be a word such as "user", "assistant", "system" or "tool".`);
  }
  const prepared = withStandardFields(message);
  if (message.content !== undefined && message.content !== null)
    prepared.content = prepareContent(message.content, `${path}.content`, abilities);
  if (Array.isArray(message.tool_calls) && !abilities.takesStringArguments) {
    prepared.tool_calls = message.tool_calls.map((call: unknown) => parseArguments(call));
  }
  return prepared as ChatMessage;
}

/** The names that clients use for a message's reasoning, the standard one first. */
const REASONING_FIELDS = ["reasoning_content", "thinking", "reasoning"];

/**
 * A message in the form that transformers 5.24 gives to a template. Null fields are absent, because templates test
 * whether a field exists. Reasoning under any of its names is in `reasoning_content`, and also in `thinking`, which
 * some templates read.
 */
export function withStandardFields(message: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const given = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null));
  const reasoning = REASONING_FIELDS.map((name) => given[name]).find((value) => value !== undefined);
  return reasoning === undefined ? given : { thinking: reasoning, ...given, reasoning_content: reasoning };
}

function prepareContent(content: unknown, path: string, abilities: TemplateAbilities): ChatMessage["content"] {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) fail(path, `${path} should be a string or a list of parts, found ${typeof content}.`);
  const parts = content.map((part: unknown, i) => checkPart(part, `${path}[${i}]`));
  if (abilities.takesParts) return parts;
  // Parts are joined as vLLM joins them.
  return parts
    .map(
      (part, i) =>
        part.text ??
        fail(
          `${path}[${i}]`,
          `${path}[${i}] is of type ${quote(part.type)}, but this model's chat template accepts only text.`,
        ),
    )
    .join("\n");
}

function checkPart(part: unknown, path: string): ContentPart {
  if (typeof part !== "object" || part === null || typeof (part as ContentPart).type !== "string") {
    fail(path, `${path} should be an object with a type, for example {"type": "text", "text": "…"}.`);
  }
  const checked = part as ContentPart;
  if (checked.type === "text" && typeof checked.text !== "string")
    fail(`${path}.text`, `${path}.text should be a string.`);
  return checked;
}

/** Parses a call's arguments. OpenAI sends them as JSON text; templates that do not test for text need the object. */
function parseArguments(call: unknown): unknown {
  const fn: unknown = (call as { function?: unknown } | null)?.function;
  const args: unknown = (fn as { arguments?: unknown } | null | undefined)?.arguments;
  if (typeof args !== "string") return call;
  try {
    const value = parseExactJson(args);
    if (typeof value !== "object" || value === null) return call;
    return { ...(call as object), function: { ...(fn as object), arguments: value } };
  } catch {
    return call; // not JSON: the model wrote this text, so the template shows it unchanged
  }
}
