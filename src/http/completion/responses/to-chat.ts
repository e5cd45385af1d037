/**
 * Converts a body of the Responses API to a chat request. It works on a checked body, and on the same body with exact
 * numbers for the template. Source: OpenAI's API reference.
 */
import { AppError, quote } from "../../../errors.ts";
import { invalid } from "../../error-response.ts";
import { isPresent } from "../is-present.ts";
import type { ChatRequest } from "../request-schema.ts";
import { toMessages } from "./items-to-messages.ts";
import type { Item, ResponsesRequest } from "./request-schema.ts";

/** The part of a chat request that a body and its history make. */
export interface ChatConversation {
  readonly messages: ChatRequest["messages"];
  readonly tools: NonNullable<ChatRequest["tools"]> | null;
  readonly tool_choice: ChatRequest["tool_choice"];
  readonly chat_template_kwargs: Record<string, unknown>;
  readonly reasoning_effort: ChatRequest["reasoning_effort"];
  readonly documents?: ChatRequest["documents"];
  readonly response_format?: NonNullable<ChatRequest["response_format"]>;
}

/**
 * @param items the whole conversation, earlier turns included @throws {AppError} unsupported_parameter,
 * invalid_request.
 */
export function responsesToChat(body: ResponsesRequest, items: readonly Item[]): ChatConversation {
  const { instructions, tools, reasoning, text } = body;
  const system = isPresent(instructions) ? [{ role: "system" as const, content: instructions }] : [];
  const format = text?.format;
  return {
    messages: [...system, ...toMessages(items)],
    tools: tools?.map(toChatTool) ?? null,
    tool_choice: toChatChoice(body.tool_choice),
    documents: body.documents ?? null,
    chat_template_kwargs: body.chat_template_kwargs ?? {},
    reasoning_effort: reasoning?.effort ?? null,
    ...(format ? { response_format: toChatFormat(format) } : {}),
  };
}

type Format = NonNullable<NonNullable<ResponsesRequest["text"]>["format"]>;

/** Chat has the schema and its name one level deeper. */
function toChatFormat({
  type,
  name,
  schema,
  description,
  strict,
}: Format): NonNullable<ChatRequest["response_format"]> {
  if (type !== "json_schema" && schema !== undefined)
    throw invalid(`"text.format.schema" has no effect with the type "${type}".`, "text.format.schema");
  if (type !== "json_schema") return { type };
  if (schema === undefined) throw invalid('"text.format.schema" is missing.', "text.format.schema");
  return { type, json_schema: { name: name ?? "answer", schema, description: description ?? undefined, strict } };
}

function toChatTool(tool: NonNullable<ResponsesRequest["tools"]>[number], index: number) {
  const at = `tools.${index}`;
  const { type, name, description, parameters, strict } = tool;
  if (type !== "function")
    throw new AppError(
      "unsupported_parameter",
      `"${at}" has type ${quote(type)}, but this server runs no tools. Send functions of your own.`,
      { param: at },
    );
  if (name === undefined) throw invalid(`"${at}.name" is missing.`, `${at}.name`);
  const fn = {
    name,
    ...(isPresent(description) ? { description } : {}),
    ...(isPresent(parameters) ? { parameters } : {}),
    ...(isPresent(strict) ? { strict } : {}),
  };
  return { type: "function" as const, function: fn };
}

function toChatChoice(choice: ResponsesRequest["tool_choice"]): ChatRequest["tool_choice"] {
  if (typeof choice !== "object" || choice === null) return choice;
  if (choice.type === "function" && typeof choice.name === "string")
    return { type: "function", function: { name: choice.name } };
  throw new AppError(
    "unsupported_parameter",
    `"tool_choice" has type ${quote(choice.type)}. Accepted: "auto", "none", "required", {"type": "function", "name": …}.`,
    { param: "tool_choice" },
  );
}
