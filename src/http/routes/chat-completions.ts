/** POST /v1/chat/completions. */
import { z } from "@hono/zod-openapi";
import { chatKind } from "../completion/chat.ts";
import { chatRequest } from "../completion/request-schema.ts";
import { runCompletion } from "../completion/run.ts";
import { jsonResponses, type Route } from "../route.ts";

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
  scope: "use",
  document: {
    summary: "Answer a conversation",
    tags: ["OpenAI"],
    request: { body: { required: true, content: { "application/json": { schema: chatRequest } } } },
    responses: jsonResponses("The answer, or with stream: true its chunks as server-sent events.", response),
  },
  handle: (context, c) => runCompletion(context, c, chatKind),
};
