/**
 * Reads a conversation from a training line: its messages, the learnt turns, and the template's other inputs.
 * Knows the message formats of OpenAI and ShareGPT, but no whole lines (`examples.ts`) and no tokens.
 */
import type { ChatMessage } from "../tokenizer/chat/chat-message.ts";
import { parseExactJson } from "../tokenizer/chat/exact-json.ts";
import { refuseUnknownMeaning } from "./line-keys.ts";

/** Refuses the line that is being read. */
export type Fail = (reason: string, cause?: unknown) => never;

export type Json = Readonly<Record<string, unknown>>;

/** Messages with the template's other inputs, equal in every render. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** By message: whether the loss counts it. Only the assistant's turns are ever learnt. */
  readonly isLearnt: readonly boolean[];
  readonly tools: readonly unknown[] | null;
  readonly templateKwargs: Json | null;
}

/** The fields of a line besides its messages. */
export interface ConversationExtras {
  /** The system text, before all messages. */
  readonly system?: unknown;
  /** The tools as a list, or as the JSON text of one. */
  readonly tools?: unknown;
  readonly chat_template_kwargs?: unknown;
}

/** A JSON value for an error message, shortened. */
export function nameOf(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? String(item) : item));
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}

/** @param key name of the line's list of messages */
export function readConversation(key: string, value: unknown, extras: ConversationExtras, fail: Fail): Conversation {
  return withExtras(readTurns(key, value, fail), extras, key, fail);
}

/**
 * TRL's conversational prompt and completion: one conversation, of which only the completion is learnt.
 * @param names names of the two in messages
 */
export function readConversationalPair(
  prompt: unknown,
  completion: unknown,
  extras: ConversationExtras,
  fail: Fail,
  names = { prompt: "prompt", completion: "completion" },
): Conversation {
  const before = readTurns(names.prompt, prompt, fail);
  const after = readTurns(names.completion, completion, fail);
  const turns = [...before.map(({ message }) => ({ message, isLearnt: false })), ...after];
  if (!after.some(({ message }) => message.role === "assistant"))
    return fail(`"${names.completion}" has no message of the role "assistant", so there is nothing to learn.`);
  return withExtras(turns, extras, names.prompt, fail);
}

/** Pairs of a question and an answer. The answers are learnt. */
export function conversationOfPairs(
  pairs: readonly (readonly [user: string, assistant: string])[],
  extras: ConversationExtras,
  fail: Fail,
): Conversation {
  const turns = pairs.flatMap(([user, assistant]) => [
    { message: { role: "user", content: user }, isLearnt: false },
    { message: { role: "assistant", content: assistant }, isLearnt: true },
  ]);
  return withExtras(turns, extras, "instruction", fail);
}

interface Turn {
  readonly message: ChatMessage;
  readonly isLearnt: boolean;
}

function withExtras(turns: readonly Turn[], extras: ConversationExtras, key: string, fail: Fail): Conversation {
  const system = extras.system ?? null;
  if (system !== null && typeof system !== "string")
    return fail(`"system" should be a string, found ${nameOf(system)}.`);
  if (system !== null && turns[0]?.message.role === "system")
    return fail(`there is both "system" and a message of the role "system" in "${key}". Keep one of them.`);
  const first =
    system === null || system === "" ? [] : [{ message: { role: "system", content: system }, isLearnt: false }];
  const all: readonly Turn[] = [...first, ...turns];
  if (!all.some(({ message }) => message.role === "assistant"))
    return fail(`"${key}" has no message of the role "assistant", so there is nothing to learn or to compare.`);
  return {
    messages: all.map(({ message }) => message),
    isLearnt: all.map(({ isLearnt }) => isLearnt),
    tools: readTools(extras.tools, fail),
    templateKwargs: readTemplateKwargs(extras.chat_template_kwargs, fail),
  };
}

function readTurns(key: string, value: unknown, fail: Fail): readonly Turn[] {
  if (!Array.isArray(value) || value.length === 0) return fail(`"${key}" should be a list of at least one message.`);
  return value.map((raw: unknown, i) => {
    const path = `${key}[${i}]`;
    const fields = ((typeof raw === "object" && !Array.isArray(raw) ? raw : null) ?? {}) as Json;
    const { weight, ...message } =
      fields.role === undefined && "from" in fields ? fromShareGpt(fields, path, fail) : fields;
    if (typeof message.role !== "string") return fail(`${path} should be an object with "role" and "content".`);
    refuseUnknownMeaning(message, path, fail);
    checkContent(message, path, fail);
    // Serving converts OpenAI's newer name of the role, too.
    const role = message.role === "developer" ? "system" : message.role;
    return { message: { ...message, role } as ChatMessage, isLearnt: readWeight(weight, role, path, fail) };
  });
}

/** Keys under which other formats have a message's text. No template reads them. */
const OTHER_TEXTS = ["value", "text"];
/** Roles whose messages are their text. */
const TEXT_ROLES = ["system", "developer", "user"];

/** The chat template's code checks content again, more strictly. */
function checkContent({ content, ...others }: Json, path: string, fail: Fail): void {
  if (typeof content === "string") return;
  if (Array.isArray(content)) return content.forEach((part, i) => checkPart(part, `${path}.content[${i}]`, fail));
  const other = OTHER_TEXTS.find((key) => typeof others[key] === "string");
  const hint = other === undefined ? "" : ` The text is under "${other}", which is not read here.`;
  // Content is optional for a message that calls tools, or that has other fields, which only the template knows. The
  // role is one of the fields counted here.
  const isBare = (content === undefined || content === null) && Object.keys(others).length > 1;
  if (!isBare || hint !== "" || TEXT_ROLES.includes(String(others.role)))
    fail(`${path}.content should be a string, found ${nameOf(content)}.${hint}`);
}

/** Images and sounds would be dropped, or leave a mark in the text that the model does not know. */
function checkPart(part: unknown, path: string, fail: Fail): void {
  const fields = (typeof part === "object" && part !== null ? part : {}) as Json;
  const { type, text } = fields;
  if (type !== "text")
    return fail(`${path}.type should be "text", found ${nameOf(type)}. Models here read text alone.`);
  if (typeof text !== "string") return fail(`${path}.text should be a string, found ${nameOf(text)}.`);
  refuseUnknownMeaning(fields, path, fail);
}

/** OpenAI's `weight`: 0 excludes a turn of the assistant from the loss. */
function readWeight(weight: unknown, role: string, path: string, fail: Fail): boolean {
  const isAssistant = role === "assistant";
  const value = weight instanceof Number ? weight.valueOf() : weight; // exact JSON represents 1.0 this way
  if (value === undefined || value === null) return isAssistant;
  if (value !== 0 && value !== 1)
    return fail(`${path}.weight should be 0 (not learnt) or 1 (learnt), found ${nameOf(value)}.`);
  if (value === 1 && !isAssistant)
    return fail(
      `${path}.weight is 1, but only turns of the assistant are learnt, and this is of the role ${nameOf(role)}. Leave it out.`,
    );
  return value === 1;
}

const SHAREGPT_ROLES: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  assistant: "assistant",
  model: "assistant",
  bot: "assistant",
  system: "system",
  tool: "tool",
  observation: "tool",
};
const SHAREGPT_CALLS = ["function_call", "tool_call"];

/** Converts ShareGPT's `from` and `value` to role and content. A call is JSON text, as LLaMA-Factory writes it. */
function fromShareGpt({ from, value, ...others }: Json, path: string, fail: Fail): Json {
  if (typeof value !== "string") return fail(`${path}.value should be a string, found ${nameOf(value)}.`);
  if (typeof from === "string" && Object.hasOwn(SHAREGPT_ROLES, from))
    return { ...others, role: SHAREGPT_ROLES[from], content: value };
  if (typeof from === "string" && SHAREGPT_CALLS.includes(from))
    return { ...others, role: "assistant", content: "", tool_calls: callsOf(value, path, fail) };
  const known = [...Object.keys(SHAREGPT_ROLES), ...SHAREGPT_CALLS].join(", ");
  return fail(`${path}.from should be one of ${known}, found ${nameOf(from)}.`);
}

function callsOf(text: string, path: string, fail: Fail): readonly unknown[] {
  const wanted = `${path}.value should be the JSON of a call, {"name": …, "arguments": …}, or of a list of them`;
  const value = parseOr(text, (reason) => fail(`${wanted} (${reason}).`));
  const calls: readonly unknown[] = Array.isArray(value) ? value : [value];
  return calls.map((call) => {
    if (typeof (call as { name?: unknown } | null)?.name !== "string") return fail(`${wanted}, found ${nameOf(call)}.`);
    return { type: "function", function: call };
  });
}

function parseOr(text: string, fail: (reason: string) => never): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    return fail((error as Error).message);
  }
}

function readTools(value: unknown, fail: Fail): readonly unknown[] | null {
  if (value === undefined || value === null || value === "") return null;
  const tools =
    typeof value === "string"
      ? parseOr(value, (reason) => fail(`"tools" is text that is not valid JSON (${reason}).`))
      : value;
  const isList =
    Array.isArray(tools) && tools.every((tool) => typeof tool === "object" && tool !== null && !Array.isArray(tool));
  if (!isList) return fail(`"tools" should be a list of objects, or the JSON text of one, found ${nameOf(value)}.`);
  return tools.length === 0 ? null : tools;
}

/** Template arguments that a line must not have. Turns are found by rendering, and these would change it. */
const OWN_KWARGS = ["messages", "tools", "add_generation_prompt", "continue_final_message"];

function readTemplateKwargs(value: unknown, fail: Fail): Json | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== "object" || Array.isArray(value))
    return fail(`"chat_template_kwargs" should be an object, found ${nameOf(value)}.`);
  const own = OWN_KWARGS.find((key) => key in value);
  if (own !== undefined) return fail(`"chat_template_kwargs" cannot set "${own}". Leave it out.`);
  return value as Json;
}
