/** Chat completions: the model's chat template renders a conversation to one prompt. */
import { parseConversation } from "./parse-conversation.ts";
import { conversationFormat } from "./answer-format/conversation-format.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { ChatChoice } from "./answer/chat-choice.ts";
import { readChatPrompt } from "./chat-prompt.ts";
import type { CompletionKind } from "./completion-kind.ts";
import { OpenAiAnswer } from "./answer/openai-answer.ts";
import { isPresent } from "./is-present.ts";
import { engineLimits } from "./prompts.ts";
import { type ChatRequest, chatRequest } from "./request-schema.ts";
import { truncationOf } from "./truncation.ts";

const FRAME = { idPrefix: "chatcmpl-", object: "chat.completion", chunkObject: "chat.completion.chunk" };

export const chatKind: CompletionKind<ChatRequest> = {
  endpoint: "chat",
  promptField: "messages",
  parse: parseConversation,
  readFields: ({ plain, exact }) => ({ fields: parseRequest(chatRequest, plain), exact }),
  readPrompts: async (context, fields, exact) => [
    await readChatPrompt(context, fields, exact, {
      truncation: truncationOf(fields, maxTokensOf(fields) ?? 1, engineLimits(context).maxModelLen),
    }),
  ],
  formatOf: conversationFormat,
  shapeOf: (fields, prompts, maxModelLen) => {
    const rest = Math.max(1, ...prompts.map(({ ids }) => maxModelLen - ids.length));
    const maxTokens = maxTokensOf(fields) ?? rest;
    const limit = isPresent(fields.max_completion_tokens) ? "max_completion_tokens" : "max_tokens";
    if (maxTokens < 1) throw invalid(`"${limit}" must be at least 1.`, limit);
    return { maxTokens, numLogprobs: numLogprobs(fields), numPromptLogprobs: fields.prompt_logprobs ?? null };
  },
  newAnswer: ({ text }, job) =>
    new OpenAiAnswer(FRAME, job, job.fields.n ?? 1, ({ ids }) => {
      const { fields } = job;
      return new ChatChoice({
        text,
        splitter: job.newSplitter(),
        hasReasoning: fields.include_reasoning !== false,
        promptIds: ids,
        hasLogprobs: fields.logprobs === true,
        hasTokenIds: fields.return_token_ids === true,
        numPromptLogprobs: fields.prompt_logprobs ?? null,
      });
    }),
};

function maxTokensOf(fields: ChatRequest): number | null {
  return fields.max_completion_tokens ?? fields.max_tokens ?? null;
}

function numLogprobs(fields: ChatRequest): number | null {
  const top = fields.top_logprobs ?? null;
  if (fields.logprobs === true) return top ?? 0;
  if (top !== null && top > 0) throw invalid('"top_logprobs" needs "logprobs": true.', "top_logprobs");
  return null;
}
