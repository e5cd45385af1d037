/**
 * Converts the conversation of a request to its prompt: checks the input of the chat template, and returns the ids it
 * renders.
 */
import { AppError, quote } from "../../errors.ts";
import type { AppContext, Text } from "../context.ts";
import { invalid } from "../error-response.ts";
import { callsFor } from "./answer-format/conversation-format.ts";
import { readToolUse } from "./answer-format/tool-choice.ts";
import { assertCouldFit, engineLimits, type Prompt } from "./prompts.ts";
import type { ChatMessage, ChatRequest } from "./request-schema.ts";
import { type Truncation, truncate } from "./truncation.ts";

/** The fields of a conversation that its prompt depends on. */
export type ConversationFields = Pick<
  ChatRequest,
  "messages" | "tools" | "chat_template_kwargs" | "continue_final_message" | "add_generation_prompt"
> &
  Partial<Pick<ChatRequest, "chat_template" | "documents" | "reasoning_effort">>;

/**
 * The prompt of a chat request, which must fit the context.
 * @param exact the body as the template sees it, where each number keeps its written form
 * @throws {AppError} invalid_request, unsupported_parameter, context_length_exceeded.
 */
export async function readChatPrompt(
  context: AppContext,
  fields: ChatRequest,
  exact: unknown,
  { truncation }: { readonly truncation: Truncation | null },
): Promise<Prompt> {
  const { maxModelLen } = engineLimits(context);
  callsFor(context.text, readToolUse(fields));
  const length = fields.messages.reduce((sum, message) => sum + lengthOf(message), 0);
  if (truncation === null) assertCouldFit(length, maxModelLen, "messages");
  const ids = await encodeConversation(context, fields, exact, { showsTools: fields.tool_choice !== "none" });
  if (ids.length === 0) throw invalid('"messages" have no tokens after the chat template.', "messages");
  return { ids: truncation === null ? ids : truncate(ids, truncation), text: null };
}

/**
 * The ids of a conversation of any length. @param exact as for `readChatPrompt`
 * @throws {AppError} invalid_request, unsupported_parameter.
 */
export async function encodeConversation(
  context: AppContext,
  fields: ConversationFields,
  exact: unknown,
  { showsTools = true }: { readonly showsTools?: boolean } = {},
): Promise<Int32Array> {
  const shown = exact as Pick<ChatRequest, "messages" | "tools" | "chat_template_kwargs" | "documents">;
  if ((shown.documents ?? []).length > 0) assertReadsDocuments(context.text, fields.chat_template ?? null);
  return await context.text.encodeChat({
    messages: shown.messages.map(checkedMessage),
    tools: showsTools ? (shown.tools ?? null) : null,
    kwargs: {
      ...(shown.documents ? { documents: shown.documents } : {}),
      ...effortVariables(context.text, fields.reasoning_effort ?? null),
      ...shown.chat_template_kwargs,
    },
    templateName: fields.chat_template ?? null,
    ...promptEnd(fields),
  });
}

/**
 * The end of the prompt: where the assistant begins to speak, or after the last message, which the answer continues.
 */
function promptEnd({ continue_final_message: continues, add_generation_prompt: adds }: ConversationFields) {
  if (continues === true && adds === true)
    throw invalid(
      '"continue_final_message" and "add_generation_prompt" cannot both be true.',
      "continue_final_message",
    );
  if (continues === true) return { addsGenerationPrompt: false, continuesFinalMessage: true };
  return { addsGenerationPrompt: adds ?? undefined };
}

/**
 * @param name of the request's template; null: one is chosen by whether there are tools @throws {AppError}
 * unsupported_parameter
 */
function assertReadsDocuments({ formats: { documentTemplates } }: Text, name: string | null): void {
  const names = name === null ? ["default", "tool_use"] : [name];
  if (names.some((one) => documentTemplates.has(one))) return;
  const others = [...documentTemplates].map((one) => JSON.stringify(one)).join(", ");
  const advice = others === "" ? "Write them into a message." : `Send "chat_template": ${others}.`;
  throw new AppError("unsupported_parameter", `The chat template does not read documents. ${advice}`, {
    param: "documents",
  });
}

/**
 * A template reads either an effort, or whether the model thinks. Source: vLLM's chat completions. @throws {AppError}
 * unsupported_parameter
 */
function effortVariables({ formats }: Text, effort: string | null): Readonly<Record<string, unknown>> {
  if (effort === null) return {};
  const { hasReasoningEffort, hasEnableThinking } = formats;
  if (!hasReasoningEffort && !hasEnableThinking)
    throw new AppError(
      "unsupported_parameter",
      "The model's chat template reads neither reasoning_effort nor enable_thinking. Leave the field out.",
      { param: "reasoning_effort" },
    );
  return {
    ...(hasReasoningEffort ? { reasoning_effort: effort } : {}),
    ...(hasEnableThinking ? { enable_thinking: effort !== "none" } : {}),
  };
}

/** Templates do not know the role developer, OpenAI's newer name for system. */
function checkedMessage(message: ChatMessage, index: number): ChatMessage {
  const parts = Array.isArray(message.content) ? message.content : [];
  parts.forEach((part, i) => {
    const param = `messages.${index}.content.${i}`;
    if (part.type !== "text")
      throw new AppError(
        "unsupported_parameter",
        `"${param}" has type ${quote(part.type)}, but this server accepts only text.`,
        { param },
      );
    if (typeof part.text !== "string") throw invalid(`"${param}.text" is missing.`, param);
  });
  return message.role === "developer" ? { ...message, role: "system" } : message;
}

function lengthOf({ content }: ChatMessage): number {
  if (typeof content === "string") return content.length;
  return (content ?? []).reduce((sum, part) => sum + (part.text?.length ?? 0), 0);
}
