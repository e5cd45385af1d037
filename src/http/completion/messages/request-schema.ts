/**
 * The body of POST /v1/messages and of its token count: Anthropic's fields, and the sampling fields of chat under their
 * names.
 */
import { z } from "@hono/zod-openapi";
import { samplingShape } from "../request-schema.ts";

const MAX_MESSAGES = 65_536;
const MAX_BLOCKS = 4096;

const block = z.looseObject({ type: z.string() });
const blocks = z.union([z.string(), z.array(block).max(MAX_BLOCKS)]);

const message = z.looseObject({
  role: z.enum(["user", "assistant", "system"]),
  content: blocks,
});

const tool = z.looseObject({
  type: z.string().nullish(),
  name: z.string().min(1).max(128),
  description: z.string().nullish(),
  input_schema: z.looseObject({}).optional(),
  strict: z.boolean().nullish(),
});

const toolChoice = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("auto"), disable_parallel_tool_use: z.boolean().nullish() }),
  z.looseObject({ type: z.literal("any"), disable_parallel_tool_use: z.boolean().nullish() }),
  z.looseObject({
    type: z.literal("tool"),
    name: z.string().min(1).max(128),
    disable_parallel_tool_use: z.boolean().nullish(),
  }),
  z.looseObject({ type: z.literal("none") }),
]);

const thread = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("create") }),
  z.looseObject({ type: z.literal("continue"), previous_message_id: z.string() }),
]);

const conversation = {
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  system: z
    .union([z.string(), z.array(block).max(MAX_BLOCKS)])
    .nullish()
    .openapi({ description: "Text, or text blocks, before the first message." }),
  tools: z.array(tool).max(1024).nullish(),
  tool_choice: toolChoice.nullish(),
  thinking: z
    .looseObject({ type: z.enum(["enabled", "disabled", "adaptive"]) })
    .nullish()
    .openapi({ description: "enabled and disabled set the template's variable enable_thinking." }),
  output_config: z
    .looseObject({
      effort: z.string().max(64).nullish(),
      format: z.looseObject({ type: z.literal("json_schema"), schema: z.looseObject({}) }).nullish(),
    })
    .nullish(),
};

/** Body of POST /v1/messages. */
export const messagesRequest = z
  .looseObject({
    ...samplingShape,
    ...conversation,
    max_tokens: z
      .int()
      .min(1)
      .max(2 ** 31 - 1),
    stop_sequences: z.array(z.string().min(1).max(1024)).max(32).nullish(),
    thread: thread.nullish(),
  })
  .openapi("MessagesRequest");

/** Body of POST /v1/messages/count_tokens. */
export const countTokensRequest = z
  .looseObject({
    model: samplingShape.model,
    ...conversation,
    chat_template_kwargs: samplingShape.chat_template_kwargs,
    chat_template: samplingShape.chat_template,
    documents: samplingShape.documents,
    add_generation_prompt: samplingShape.add_generation_prompt,
    continue_final_message: samplingShape.continue_final_message,
  })
  .openapi("CountTokensRequest");

export type MessagesRequest = z.output<typeof messagesRequest>;
export type CountTokensRequest = z.output<typeof countTokensRequest>;
export type Block = z.output<typeof block>;
