/** POST /v1/chat/completions. */
import { z } from "@hono/zod-openapi";
import { randomUUID } from "node:crypto";
import { AppError } from "../../errors.ts";
import { parseExactJson } from "../../tokenizer/exact-json.ts";
import { answerStream, answerWhole } from "../completion/send-answer.ts";
import { ChatChoice } from "../completion/chat-choice.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { assertRoom, startGeneration } from "../completion/generation.ts";
import { type ChatMessage, type ChatRequest, chatRequest } from "../completion/request-schema.ts";
import { parseRequest } from "../parse-request.ts";
import { assertCouldFit, assertFitsContext, engineLimits } from "../completion/prompts.ts";
import { parseBody, readText } from "../read-body.ts";
import { resolveModel, type Target } from "../completion/resolve-model.ts";
import { jsonResponses, type Route } from "../route.ts";
import { deadlineOf, sequenceOptions, stopStrings } from "../completion/sampling.ts";
import { refuseUnsupported } from "../completion/unsupported-fields.ts";
import { usageOf } from "../completion/usage.ts";

const response = z
  .looseObject({
    id: z.string(),
    object: z.literal("chat.completion"),
    choices: z.array(z.looseObject({ index: z.int() })),
  })
  .openapi("ChatCompletion");

export const chatCompletionsRoute: Route = {
  method: "post",
  path: "/v1/chat/completions",
  document: {
    summary: "Answer a conversation",
    tags: ["OpenAI"],
    request: { body: { required: true, content: { "application/json": { schema: chatRequest } } } },
    responses: jsonResponses("The answer, or with stream: true its chunks as server-sent events.", response),
  },
  handle: async (context, c) => {
    const arrivedAt = performance.now();
    const tenant = c.get("tenant");
    assertRoom(context, { tenant, promptTokens: [0], n: 1 });
    const text = await readText(c, context.limits.maxJsonBytes);
    const body = parseBody(text);
    refuseUnsupported(body, "chat");
    const fields = parseRequest(chatRequest, body);
    const deadlineMs = deadlineOf(c);
    const target = resolveModel(context, fields.model, fields.adapter);
    try {
      assertRoom(context, { tenant, promptTokens: [0], n: fields.n ?? 1, target });
      const promptIds = await encodeMessages(context, fields, text);
      return await answer(context, c, { fields, target, promptIds, deadlineMs, arrivedAt });
    } catch (error) {
      target.release();
      throw error;
    }
  },
};

interface Job {
  readonly fields: ChatRequest;
  readonly target: Target;
  readonly promptIds: Int32Array;
  readonly deadlineMs: number | null;
  readonly arrivedAt: number;
}

async function answer(context: AppContext, c: RequestContext, job: Job): Promise<Response> {
  const { fields, target, promptIds, deadlineMs, arrivedAt } = job;
  const { maxModelLen, vocabSize } = engineLimits(context);
  const n = fields.n ?? 1;
  const maxTokens = fields.max_completion_tokens ?? fields.max_tokens ?? Math.max(1, maxModelLen - promptIds.length);
  if (maxTokens < 1) throw invalid('"max_tokens" must be at least 1.', "max_tokens");
  assertFitsContext(promptIds.length, maxTokens, maxModelLen, "messages");
  if (fields.stream_options && fields.stream !== true)
    throw invalid('"stream_options" needs "stream": true.', "stream_options");
  const generation = startGeneration(context, {
    target,
    tenant: c.get("tenant"),
    prompts: [promptIds],
    n,
    options: sequenceOptions(
      fields,
      { maxTokens, numLogprobs: numLogprobs(fields), numPromptLogprobs: null },
      context.base,
      vocabSize,
    ),
    stop: stopStrings(fields.stop),
    skipsSpecial: fields.skip_special_tokens ?? true,
    deadlineMs,
    signal: c.req.raw.signal,
    arrivedAt,
  });
  const choices = Array.from({ length: n }, () => newChoice(context, fields, promptIds));
  const choiceAt = (index: number) => choices[index] as ChatChoice; // one for each sequence
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: target.model,
    system_fingerprint: target.fingerprint,
  };
  const usage = () => {
    const completionTokens = choices.reduce((sum, { numTokens }) => sum + numTokens, 0);
    return usageOf(promptIds.length, generation.numCached(), completionTokens);
  };
  if (fields.stream !== true)
    return await answerWhole(
      c,
      generation,
      (index, event) => void choiceAt(index).add(event),
      () => ({
        ...head,
        object: "chat.completion",
        choices: choices.map((choice, index) => ({ index, ...choice.whole() })),
        usage: usage(),
      }),
    );
  const hasUsage = fields.stream_options?.include_usage === true;
  const chunk = (choicesOfChunk: readonly object[], usageOfChunk: object | null) => ({
    ...head,
    object: "chat.completion.chunk",
    choices: choicesOfChunk,
    ...(hasUsage ? { usage: usageOfChunk } : {}),
  });
  return await answerStream(
    context,
    c,
    generation,
    (index, event) =>
      choiceAt(index)
        .add(event)
        .map((part) => chunk([{ index, ...part }], null)),
    () => (hasUsage ? [chunk([], usage())] : []),
  );
}

function newChoice({ text }: AppContext, fields: ChatRequest, promptIds: Int32Array): ChatChoice {
  return new ChatChoice({
    text,
    promptIds,
    hasLogprobs: fields.logprobs === true,
    hasTokenIds: fields.return_token_ids === true,
  });
}

function numLogprobs(fields: ChatRequest): number | null {
  const top = fields.top_logprobs ?? null;
  if (fields.logprobs === true) return top ?? 0;
  if (top !== null && top > 0) throw invalid('"top_logprobs" needs "logprobs": true.', "top_logprobs");
  return null;
}

/** @param text the body again, for what the template sees of it: it shows how a number was written. */
async function encodeMessages(context: AppContext, fields: ChatRequest, text: string): Promise<Int32Array> {
  const { maxModelLen } = engineLimits(context);
  const choice = fields.tool_choice ?? "auto";
  if (choice !== "auto" && choice !== "none")
    throw new AppError(
      "unsupported_parameter",
      'A "tool_choice" that forces a call is not supported. Use "auto" or "none".',
      { param: "tool_choice" },
    );
  const exact = parseExactJson(text) as Pick<ChatRequest, "messages" | "tools" | "chat_template_kwargs">;
  const messages = exact.messages.map(checkedMessage);
  assertCouldFit(
    messages.reduce((sum, message) => sum + lengthOf(message), 0),
    maxModelLen,
    "messages",
  );
  const ids = await context.text.encodeChat({
    messages,
    tools: choice === "none" ? null : (exact.tools ?? null),
    kwargs: exact.chat_template_kwargs ?? {},
  });
  if (ids.length === 0) throw invalid('"messages" have no tokens after the chat template.', "messages");
  return ids;
}

/** Templates know no developer: OpenAI's newer name for the system. */
function checkedMessage(message: ChatMessage, index: number): ChatMessage {
  const parts = Array.isArray(message.content) ? message.content : [];
  parts.forEach((part, i) => {
    const param = `messages.${index}.content.${i}`;
    if (part.type !== "text")
      throw new AppError(
        "unsupported_parameter",
        `"${param}" has type ${JSON.stringify(part.type.slice(0, 64))}; this server takes text alone.`,
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
