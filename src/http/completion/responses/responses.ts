/**
 * OpenAI's Responses API as a kind of completion: its body becomes a chat request, and the answer's parts become output
 * items.
 */
import { parseConversation } from "../parse-conversation.ts";
import { conversationFormat } from "../answer-format/conversation-format.ts";
import { parseRequest } from "../../request/parse-request.ts";
import { readChatPrompt } from "../chat-prompt.ts";
import type { CompletionKind } from "../completion-kind.ts";
import type { OwnNames } from "../own-names.ts";
import { engineLimits } from "../prompts.ts";
import type { ChatRequest } from "../request-schema.ts";
import { truncationOf } from "../truncation.ts";
import { type ResponsesRequest, responsesRequest } from "./request-schema.ts";
import { ResponseAnswer, type ResponseFields } from "./response-answer.ts";
import { responsesToChat } from "./to-chat.ts";
import { readTurn } from "./turn.ts";

/** Chat's names of fields that have another name here. */
const OWN_NAMES: OwnNames = [
  ["response_format.json_schema", "text.format"],
  ["response_format", "text.format"],
  ["max_tokens", "max_output_tokens"],
  ["reasoning_effort", "reasoning.effort"],
  ["messages", "input"],
];

export const responsesKind: CompletionKind<ChatRequest & ResponseFields> = {
  endpoint: "responses",
  promptField: "input",
  ownNames: OWN_NAMES,
  parse: parseConversation,
  readFields: ({ plain, exact }, { responses: store }, tenant) => {
    const asked = parseRequest(responsesRequest, plain);
    const turn = readTurn(asked, store, tenant);
    const { stream_options: _, max_output_tokens: maxTokens, ...body } = asked;
    const fields = { ...body, ...responsesToChat(asked, turn.items), max_tokens: maxTokens ?? null, asked, turn };
    return { fields, exact: responsesToChat(exact as ResponsesRequest, turn.items) };
  },
  readPrompts: async (context, fields, exact) => [
    await readChatPrompt(context, fields, exact, {
      truncation: truncationOf(fields, 1, engineLimits(context).maxModelLen),
    }),
  ],
  formatOf: conversationFormat,
  // Clients ask for far more tokens than a small context has. The answer then ends with the context, and is incomplete.
  shapeOf: (fields, prompts, maxModelLen) => {
    const rest = Math.max(1, maxModelLen - (prompts[0]?.ids.length ?? 0));
    return {
      maxTokens: Math.min(fields.max_tokens ?? rest, rest),
      numLogprobs: hasLogprobs(fields) ? (fields.asked.top_logprobs ?? 0) : null,
      numPromptLogprobs: null,
    };
  },
  newAnswer: ({ text, responses: store }, job) =>
    new ResponseAnswer(job, { text, store, hasLogprobs: hasLogprobs(job.fields) }),
};

function hasLogprobs({ asked }: ResponseFields): boolean {
  return (asked.top_logprobs ?? 0) > 0 || asked.include?.includes("message.output_text.logprobs") === true;
}
