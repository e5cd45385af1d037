/**
 * Bodies and answers of /tokenize, /detokenize and /tokenizer_info. Source: vLLM's protocol of these routes, under its
 * names.
 */
import { z } from "@hono/zod-openapi";
import { chatRequest } from "../completion/request-schema.ts";

const model = z.string().min(1).max(512).nullish().openapi({ description: "A name that GET /v1/models lists." });
const withStrings = z.boolean().nullish().openapi({ description: "Whether the answer has token_strs." });

/** A text, or a conversation for the chat template. One of `prompt` and `messages` is present. */
export const tokenizeRequest = z
  .looseObject({
    ...chatRequest.pick({
      tools: true,
      add_generation_prompt: true,
      continue_final_message: true,
      chat_template_kwargs: true,
      chat_template: true,
      documents: true,
    }).shape,
    model,
    prompt: z.string().optional(),
    messages: chatRequest.shape.messages.optional(),
    add_special_tokens: z.boolean().nullish().openapi({
      description:
        "Whether a prompt gets the tokenizer's special tokens (default true). A chat template writes its own.",
    }),
    return_token_strs: withStrings,
  })
  .openapi("TokenizeRequest");

export const tokenizeResponse = z
  .object({
    count: z.int(),
    max_model_len: z.int(),
    tokens: z.array(z.int()),
    token_strs: z.array(z.string()).nullable(),
  })
  .openapi("TokenizeResponse");

export const detokenizeRequest = z
  .looseObject({
    model,
    tokens: z.array(
      z
        .int()
        .min(0)
        .max(2 ** 31 - 1),
    ),
    skip_special_tokens: z.boolean().nullish().openapi({
      description: "Whether special tokens are left out of the text (default false).",
    }),
  })
  .openapi("DetokenizeRequest");

export const detokenizeResponse = z.object({ prompt: z.string() }).openapi("DetokenizeResponse");

export const tokenizerInfoResponse = z
  .looseObject({ tokenizer_class: z.string(), chat_template: z.string().optional() })
  .openapi("TokenizerInfo");

export type TokenizeRequest = z.output<typeof tokenizeRequest>;
