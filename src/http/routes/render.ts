/** The render routes of vLLM: the token ids and parameters that a completion would run with. Nothing is generated. */
import { z } from "@hono/zod-openapi";
import { chatKind } from "../completion/chat.ts";
import { renderCompletion } from "../completion/render.ts";
import { chatRequest, completionRequest } from "../completion/request-schema.ts";
import { textKind } from "../completion/text.ts";
import { jsonResponses, type Route } from "../route.ts";

const tags = ["Tokens"];

const rendered = z
  .looseObject({
    request_id: z.string(),
    token_ids: z.array(z.int()),
    sampling_params: z.looseObject({}),
    model: z.string(),
  })
  .openapi("RenderedRequest");

export const renderRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/v1/chat/completions/render",
    scope: "use",
    document: {
      summary: "The token ids and parameters of a chat completion, without running it",
      tags,
      request: { body: { required: true, content: { "application/json": { schema: chatRequest } } } },
      responses: jsonResponses("The request as the engine would receive it.", rendered),
    },
    handle: async (context, c) => c.json((await renderCompletion(context, c, chatKind, "chatcmpl-"))[0]),
  },
  {
    method: "post",
    path: "/v1/completions/render",
    scope: "use",
    document: {
      summary: "The token ids and parameters of each prompt's completion, without running it",
      tags,
      request: { body: { required: true, content: { "application/json": { schema: completionRequest } } } },
      responses: jsonResponses("One request for each prompt.", z.array(rendered)),
    },
    handle: async (context, c) => c.json(await renderCompletion(context, c, textKind, "cmpl-")),
  },
];
