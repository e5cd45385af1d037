/** The body of POST /v1/responses: OpenAI's fields, and the sampling fields of chat under their names. */
import { z } from "@hono/zod-openapi";
import { chatRequest, samplingShape } from "../request-schema.ts";

const MAX_ITEMS = 65_536;

/** An item of a conversation. `to-chat.ts` knows the types. */
const item = z.looseObject({ type: z.string().optional(), role: z.string().optional() });

const tool = z.looseObject({
  type: z.string(),
  name: z.string().min(1).max(128).optional(),
  description: z.string().nullish(),
  parameters: z.looseObject({}).nullish(),
  strict: z.boolean().nullish(),
});

const format = z.looseObject({
  type: z.enum(["text", "json_object", "json_schema"]),
  name: z.string().max(64).optional(),
  schema: z.looseObject({}).optional(),
  description: z.string().nullish(),
  strict: z.boolean().nullish(),
});

/** Body of POST /v1/responses. */
export const responsesRequest = z
  .looseObject({
    ...samplingShape,
    input: z.union([z.string(), z.array(item).max(MAX_ITEMS)]).openapi({
      description: "The user's text, or messages, calls of functions and their outputs.",
    }),
    instructions: z.string().nullish().openapi({ description: "The system prompt, for this request alone." }),
    max_output_tokens: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .nullish(),
    previous_response_id: z.string().min(1).max(128).nullish(),
    store: z.boolean().nullish().openapi({ description: "Whether the response may be continued (default true)." }),
    stop: chatRequest.shape.stop,
    tools: z.array(tool).max(1024).nullish(),
    tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]).nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    text: z.looseObject({ format: format.nullish() }).nullish(),
    reasoning: z.looseObject({ effort: z.string().max(64).nullish(), summary: z.string().max(64).nullish() }).nullish(),
    include: z.array(z.string().max(128)).max(32).nullish(),
    top_logprobs: chatRequest.shape.top_logprobs,
    metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  })
  .openapi("ResponsesRequest");

export type ResponsesRequest = z.output<typeof responsesRequest>;
export type Item = z.output<typeof item>;
