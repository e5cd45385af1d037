/** Body and answer of POST /v1/embeddings: OpenAI's fields, and vLLM's under vLLM's names. */
import { z } from "@hono/zod-openapi";
import { completionRequest } from "../completion/request-schema.ts";

/** As many as OpenAI accepts. */
export const MAX_INPUTS = 2048;
const LARGEST_SIZE = 2 ** 20;

const completion = completionRequest.shape;

export const embeddingRequest = z
  .looseObject({
    ...completionRequest.pick({
      model: true,
      adapter: true,
      adapter_id: true,
      lora: true,
      lora_name: true,
      lora_path: true,
      lora_request: true,
      add_special_tokens: true,
      truncate_prompt_tokens: true,
      truncation_side: true,
      cache_salt: true,
      user: true,
    }).shape,
    input: completion.prompt,
    encoding_format: z.enum(["float", "base64"]).nullish().openapi({
      description: "float: a list of numbers. base64: the same as little-endian float32 numbers. Default: float.",
    }),
    dimensions: z
      .int()
      .min(1)
      .max(LARGEST_SIZE)
      .nullish()
      .openapi({ description: "Number of leading components to keep. The vector is then normalised." }),
    pooling: z.enum(["mean", "last"]).nullish().openapi({
      description:
        "The mean of the hidden states of all tokens, or the last token's. Default: `pooling` on the adapter's card, otherwise mean.",
    }),
    normalize: z.boolean().nullish().openapi({ description: "Whether vectors have the length 1. Default true." }),
  })
  .openapi("EmbeddingRequest");

export const embeddingResponse = z
  .object({
    id: z.string(),
    object: z.literal("list"),
    created: z.int(),
    model: z.string(),
    system_fingerprint: z.string(),
    data: z.array(
      z.object({
        object: z.literal("embedding"),
        index: z.int(),
        embedding: z.union([z.array(z.number()), z.string()]),
      }),
    ),
    usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
  })
  .openapi("Embeddings");

export type EmbeddingRequest = z.output<typeof embeddingRequest>;
