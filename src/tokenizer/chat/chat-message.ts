/**
 * The messages of a conversation as they come in, checked before a template sees them: no template shall print JSON,
 * and none shall be asked for what it cannot accept. Fields that are null are dropped and reasoning is given its standard
 * name, as transformers 5.24 does. Knows the shape of messages, no syntax of templates.
 */
import { AppError } from "../../errors.ts";
import { parseExactJson } from "./exact-json.ts";

/** One part of a message's content. Only text parts can be flattened. */
export interface ContentPart {
  readonly type: string;
  readonly text?: string;
  readonly [key: string]: unknown;
}

/** One message; other fields (`name`, `tool_calls`, `tool_call_id`, …) go to the template as they are. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly ContentPart[] | null;
  readonly [key: string]: unknown;
}

/** What a template can take, read from its source. */
export interface TemplateAbilities {
  /** It looks at whether a content is a string, or loops over one. */
  readonly takesParts: boolean;
  /** It looks at whether the arguments of a tool call are a string. */
  readonly takesStringArguments: boolean;
}

function fail(param: string, message: string): never {
  throw new AppError("invalid_request", message, { param });
}

/** Checked messages, flattened where the template takes only strings. @throws {AppError} invalid_request with the field's path. */
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

/** The names under which clients send a message's reasoning, the standard one first. */
const REASONING_FIELDS = ["reasoning_content", "thinking", "reasoning"];

/**
 * A message as transformers 5.24 hands it to a template: fields that are null are absent, since templates ask whether a field is
 * there. Reasoning stands in `reasoning_content` under whichever name it came, and in `thinking`, which some templates read.
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
        fail(`${path}[${i}]`, `${path}[${i}] is of type "${part.type}"; this model's chat template takes text only.`),
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

/** OpenAI carries a call's arguments as JSON text; templates that do not ask for text want the object. */
function parseArguments(call: unknown): unknown {
  const fn: unknown = (call as { function?: unknown } | null)?.function;
  const args: unknown = (fn as { arguments?: unknown } | null | undefined)?.arguments;
  if (typeof args !== "string") return call;
  try {
    const value = parseExactJson(args);
    if (typeof value !== "object" || value === null) return call;
    return { ...(call as object), function: { ...(fn as object), arguments: value } };
  } catch {
    return call; // not JSON: the model said so, the template shows it as it is
  }
}
