/** POST /v1/messages and POST /v1/messages/count_tokens, for Anthropic's clients. */
import { z } from "@hono/zod-openapi";
import type { RequestContext } from "../context.ts";
import { countTokens, messagesKind } from "../completion/messages/messages.ts";
import { countTokensRequest, messagesRequest } from "../completion/messages/request-schema.ts";
import { runCompletion } from "../completion/run.ts";
import type { Route } from "../route.ts";

const tags = ["Anthropic"];

const message = z
  .looseObject({
    id: z.string(),
    type: z.literal("message"),
    role: z.literal("assistant"),
    content: z.array(z.looseObject({ type: z.enum(["text", "thinking", "tool_use"]) })),
    stop_reason: z.string().nullable(),
    stop_sequence: z.string().nullable(),
  })
  .openapi("Message");

const tokenCount = z.object({ input_tokens: z.int() }).openapi("TokenCount");

const error = z
  .object({
    type: z.literal("error"),
    error: z.looseObject({ type: z.string(), message: z.string() }),
    request_id: z.string(),
  })
  .openapi("MessagesError");

const responses = (description: string, schema: z.ZodType) => ({
  200: { description, content: { "application/json": { schema } } },
  default: { description: "An error.", content: { "application/json": { schema: error } } },
});

/** Anthropic's clients read the id of a request from the header `request-id`. */
async function withRequestId(c: RequestContext, answer: Promise<Response>): Promise<Response> {
  const response = await answer;
  response.headers.set("request-id", c.get("requestId"));
  return response;
}

export const messagesRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/v1/messages",
    scope: "use",
    document: {
      summary: "Answer a conversation, in the shape of Anthropic's API",
      tags,
      request: { body: { required: true, content: { "application/json": { schema: messagesRequest } } } },
      responses: responses("The message, or with stream: true its events.", message),
    },
    handle: (context, c) => withRequestId(c, runCompletion(context, c, messagesKind)),
  },
  {
    method: "post",
    path: "/v1/messages/count_tokens",
    scope: "use",
    document: {
      summary: "Number of prompt tokens of a message",
      tags,
      request: { body: { required: true, content: { "application/json": { schema: countTokensRequest } } } },
      responses: responses("The number.", tokenCount),
    },
    handle: (context, c) => withRequestId(c, countTokens(context, c)),
  },
];
