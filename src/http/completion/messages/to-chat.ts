/**
 * Converts a body of the Messages API to a chat request. It works on a checked body, and on the same body with exact
 * numbers for the template. Blocks that the model cannot read are refused. The error names their place. Source:
 * Anthropic's API reference.
 */
import { AppError, quote } from "../../../errors.ts";
import { invalid } from "../../error-response.ts";
import { isPresent } from "../is-present.ts";
import type { ChatRequest } from "../request-schema.ts";
import type { Block, CountTokensRequest, MessagesRequest } from "./request-schema.ts";

/** The part of a chat request that a conversation makes. */
export interface ChatConversation {
  readonly messages: ChatRequest["messages"];
  readonly tools: NonNullable<ChatRequest["tools"]> | null;
  readonly tool_choice: ChatRequest["tool_choice"];
  readonly chat_template_kwargs: Record<string, unknown>;
  readonly documents?: ChatRequest["documents"];
  readonly continue_final_message: boolean;
  readonly parallel_tool_calls?: boolean;
  readonly response_format?: NonNullable<ChatRequest["response_format"]>;
}

type Message = ChatRequest["messages"][number];

/** The conversation of a body. @throws {AppError} unsupported_parameter, invalid_request. */
export function messagesToChat(body: MessagesRequest | CountTokensRequest): ChatConversation {
  const { system, tools, tool_choice: choice, output_config: output } = body;
  const first: Message[] = isPresent(system) ? [{ role: "system", content: systemText(system) }] : [];
  const format = output?.format ?? null;
  return {
    messages: [...first, ...body.messages.flatMap(toChatMessages)],
    tools: tools?.map(toChatTool) ?? null,
    tool_choice: toChatChoice(choice),
    ...(choice && "disable_parallel_tool_use" in choice && choice.disable_parallel_tool_use === true
      ? { parallel_tool_calls: false }
      : {}),
    ...(format === null
      ? {}
      : {
          response_format: {
            type: "json_schema",
            json_schema: { name: "answer", schema: format.schema, strict: true },
          },
        }),
    documents: body.documents ?? null,
    chat_template_kwargs: { ...thinkingVariables(body), ...body.chat_template_kwargs },
    continue_final_message: body.continue_final_message ?? endsOpen(body),
  };
}

function thinkingVariables({ thinking, output_config: output }: MessagesRequest | CountTokensRequest): object {
  const effort = output?.effort ?? null;
  return {
    ...(thinking?.type === "enabled" ? { enable_thinking: true } : {}),
    ...(thinking?.type === "disabled" ? { enable_thinking: false } : {}),
    ...(effort === null ? {} : { reasoning_effort: effort }),
  };
}

/** If the last message is the assistant's, it is the beginning of the answer, unless it ends with a call. */
function endsOpen(body: MessagesRequest | CountTokensRequest): boolean {
  const last = body.messages.at(-1);
  if (last?.role !== "assistant" || body.add_generation_prompt === true) return false;
  return typeof last.content === "string" || last.content.at(-1)?.type === "text";
}

function systemText(system: NonNullable<MessagesRequest["system"]>): string {
  if (typeof system === "string") return system;
  return system.map((block, i) => textOf(block, `system.${i}`)).join("\n");
}

function toChatMessages({ role, content }: MessagesRequest["messages"][number], index: number): Message[] {
  if (typeof content === "string") return [{ role, content }];
  const at = `messages.${index}.content`;
  if (role === "assistant") return [assistantMessage(content, at)];
  const results = content.flatMap((block, i) =>
    block.type === "tool_result" ? [toolMessage(block, `${at}.${i}`)] : [],
  );
  const parts = content.flatMap((block, i) =>
    block.type === "tool_result" ? [] : [{ type: "text", text: textOf(block, `${at}.${i}`) }],
  );
  if (results.length > 0 && role !== "user")
    throw invalid(`"${at}" has a tool_result, which only a message of the user may have.`, at);
  return [...results, ...(parts.length > 0 || results.length === 0 ? [{ role, content: parts }] : [])];
}

function toolMessage(block: Block, at: string): Message {
  const { tool_use_id: id, content, is_error: isError } = block;
  if (typeof id !== "string")
    throw invalid(`"${at}.tool_use_id" should be the id of a tool_use block.`, `${at}.tool_use_id`);
  const text = Array.isArray(content)
    ? (content as unknown[])
        .map((one, i) => textOf(asBlock(one, `${at}.content.${i}`), `${at}.content.${i}`))
        .join("\n")
    : (content ?? "");
  if (typeof text !== "string")
    throw invalid(`"${at}.content" should be text or a list of text blocks.`, `${at}.content`);
  return { role: "tool", tool_call_id: id, content: text, ...(isError === true ? { is_error: true } : {}) };
}

function assistantMessage(content: readonly Block[], at: string): Message {
  const texts: string[] = [];
  const thoughts: string[] = [];
  const calls: Record<string, unknown>[] = [];
  content.forEach((block, i) => {
    if (block.type === "thinking") thoughts.push(thoughtOf(block, `${at}.${i}`));
    else if (block.type === "tool_use") calls.push(toCall(block, `${at}.${i}`));
    else texts.push(textOf(block, `${at}.${i}`));
  });
  return {
    role: "assistant",
    content: texts.join("\n"),
    ...(thoughts.length > 0 ? { reasoning_content: thoughts.join("\n") } : {}),
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
  };
}

function thoughtOf({ thinking }: Block, at: string): string {
  if (typeof thinking === "string") return thinking;
  throw invalid(`"${at}" is a thinking block and should have its "thinking" as text.`, at);
}

/** A block below another one, which the schema does not check. */
function asBlock(value: unknown, at: string): Block {
  if (typeof value === "object" && value !== null && "type" in value && typeof value.type === "string")
    return value as Block;
  throw invalid(`"${at}" should be a block with a "type".`, at);
}

/** The arguments stay an object, because they may have numbers that JSON.stringify cannot write. */
function toCall({ id, name, input }: Block, at: string): Record<string, unknown> {
  if (typeof id !== "string" || typeof name !== "string")
    throw invalid(`"${at}" is a tool_use block and should have an "id" and a "name".`, at);
  return { id, type: "function", function: { name, arguments: input ?? {} } };
}

function textOf(block: Block, at: string): string {
  if (block.type !== "text")
    throw new AppError(
      "unsupported_parameter",
      `"${at}" has type ${quote(block.type)}, but this server accepts only text there.`,
      { param: at },
    );
  if (typeof block.text !== "string") throw invalid(`"${at}.text" is missing.`, at);
  return block.text;
}

function toChatTool(tool: NonNullable<MessagesRequest["tools"]>[number], index: number) {
  const at = `tools.${index}`;
  const { type, name, description, input_schema: parameters, strict } = tool;
  if (isPresent(type) && type !== "custom")
    throw new AppError(
      "unsupported_parameter",
      `"${at}" has type ${quote(type)}, but this server runs no tools. Send tools of your own with an "input_schema".`,
      { param: at },
    );
  if (parameters === undefined) throw invalid(`"${at}.input_schema" is missing.`, `${at}.input_schema`);
  const rest = { ...(isPresent(description) ? { description } : {}), ...(isPresent(strict) ? { strict } : {}) };
  return { type: "function" as const, function: { name, ...rest, parameters } };
}

function toChatChoice(choice: MessagesRequest["tool_choice"]): ChatRequest["tool_choice"] {
  if (!choice) return null;
  if (choice.type === "any") return "required";
  return choice.type === "tool" ? { type: "function", function: { name: choice.name } } : choice.type;
}
