/**
 * Anthropic's Messages API as a kind of completion: its body becomes a chat request, and the answer's parts become
 * content blocks.
 */
import { parseConversation } from "../parse-conversation.ts";
import { conversationFormat } from "../answer-format/conversation-format.ts";
import { AppError, quote } from "../../../errors.ts";
import type { AppContext, RequestContext } from "../../context.ts";
import { parseRequest } from "../../request/parse-request.ts";
import { parseBody, readBodyText } from "../../request/read-body.ts";
import { checkFields } from "../../../fields/check-fields.ts";
import { encodeConversation, readChatPrompt } from "../chat-prompt.ts";
import type { CompletionKind } from "../completion-kind.ts";
import type { OwnNames } from "../own-names.ts";
import { engineLimits } from "../prompts.ts";
import type { ChatRequest } from "../request-schema.ts";
import { assertModelExists } from "../model/resolve-model.ts";
import { truncationOf } from "../truncation.ts";
import { MessageAnswer } from "./message-answer.ts";
import { countTokensRequest, type MessagesRequest, messagesRequest } from "./request-schema.ts";
import { messagesToChat } from "./to-chat.ts";

/** Chat's names of fields that have another name here. */
const OWN_NAMES: OwnNames = [
  ["response_format.json_schema", "output_config.format"],
  ["response_format", "output_config.format"],
  ["stop", "stop_sequences"],
];

export const messagesKind: CompletionKind<ChatRequest> = {
  endpoint: "messages",
  promptField: "messages",
  ownNames: OWN_NAMES,
  parse: parseConversation,
  readFields: ({ plain, exact }) => {
    const body = parseRequest(messagesRequest, plain);
    assertWhole(body);
    const { stop_sequences: stop, ...fields } = { ...body, ...messagesToChat(body) };
    return {
      fields: { ...fields, stop: stop ?? null, user: userOf(body) },
      exact: messagesToChat(exact as MessagesRequest),
    };
  },
  readPrompts: async (context, fields, exact) => [
    await readChatPrompt(context, fields, exact, {
      truncation: truncationOf(fields, 1, engineLimits(context).maxModelLen),
    }),
  ],
  // Clients ask for far more tokens than a small context has. The answer then ends with the context, and its stop
  // reason reports this.
  formatOf: conversationFormat,
  shapeOf: (fields, prompts, maxModelLen) => ({
    maxTokens: Math.min(fields.max_tokens ?? 1, restOf(prompts, maxModelLen)),
    numLogprobs: null,
    numPromptLogprobs: null,
  }),
  newAnswer: (context, job) => {
    const rest = restOf(job.prompts, engineLimits(context).maxModelLen);
    return new MessageAnswer(job, { endsWithContext: (job.fields.max_tokens ?? 1) > rest });
  },
};

/** The user whom the metadata name. Other metadata, of any form, have no effect. */
function userOf({ metadata }: MessagesRequest): string | null {
  const { user_id: user } = (metadata ?? {}) as { user_id?: unknown };
  return typeof user === "string" ? user : null;
}

/**
 * @throws {AppError} thread_not_found: the earlier messages are not here. Anthropic's clients then send all of them.
 */
function assertWhole({ thread }: MessagesRequest): void {
  if (thread?.type !== "continue") return;
  throw new AppError(
    "thread_not_found",
    `The message ${quote(thread.previous_message_id)} cannot be continued: this server keeps no threads. Send the whole conversation.`,
    { param: "thread" },
  );
}

/**
 * Number of tokens that the context has left. It is at least one, so that a prompt that fills the context is refused as
 * too long.
 */
function restOf(prompts: readonly { readonly ids: Int32Array }[], maxModelLen: number): number {
  return Math.max(1, maxModelLen - (prompts[0]?.ids.length ?? 0));
}

/**
 * POST /v1/messages/count_tokens: the number of a request's prompt tokens.
 * @throws {AppError} as the request itself would.
 */
export async function countTokens(context: AppContext, c: RequestContext): Promise<Response> {
  const text = await readBodyText(c, context.limits.maxJsonBytes);
  const { plain, exact } = parseBody(text, parseConversation);
  checkFields(plain, "messages", { isStrict: context.limits.refusesUnknownFields });
  const body = parseRequest(countTokensRequest, plain);
  await assertModelExists(context, c.get("caller"), body.model);
  const { tool_choice: choice, ...conversation } = messagesToChat(body);
  const ids = await encodeConversation(
    context,
    { ...conversation, add_generation_prompt: body.add_generation_prompt },
    messagesToChat(exact as MessagesRequest),
    { showsTools: choice !== "none" },
  );
  return c.json({ input_tokens: ids.length });
}
