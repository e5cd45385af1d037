/** POST /v1/completions. */
import { z } from "@hono/zod-openapi";
import { completionRequest } from "../completion/request-schema.ts";
import { runCompletion } from "../completion/run.ts";
import { textKind } from "../completion/text.ts";
import { jsonResponses, type Route } from "../route.ts";

const response = z
  .looseObject({
    id: z.string(),
    object: z.literal("text_completion"),
    choices: z.array(z.looseObject({ index: z.int(), text: z.string() })),
  })
  .openapi("Completion");

export const completionsRoute: Route = {
  method: "post",
  path: "/v1/completions",
  scope: "use",
  document: {
    summary: "Continue a prompt, or score it",
    tags: ["OpenAI"],
    request: { body: { required: true, content: { "application/json": { schema: completionRequest } } } },
    responses: jsonResponses("The answer, or with stream: true its chunks as server-sent events.", response),
  },
  handle: (context, c) => runCompletion(context, c, textKind),
};
