/**
 * The bodies of completions and chat completions: OpenAI's fields, and vLLM's under vLLM's names. The same schemas
 * check requests and produce the OpenAPI document. Unknown fields pass; `null` is the same as absent. Source:
 * docs/reference/http-api.md.
 */
import { z } from "@hono/zod-openapi";
import { MAX_BLEND_MEMBERS } from "../../adapter/blend-recipe.ts";

const MAX_SEQUENCES = 128;
const MAX_STOPS = 32;
const MAX_PROMPTS = 512;
const MAX_BAD_WORDS = 256;
const MAX_GRAMMAR_CHARS = 65_536;
const MAX_CHOICES = 4096;
const MAX_ALLOWED_IDS = 1_048_576;
const MAX_BLEND_WEIGHT = 1e6;

const integer = (min: number, max: number) => z.int().min(min).max(max);
const name = z.string().min(1).max(512);

/** Maximum number of alternatives in a token's log-probabilities. */
const MAX_LOGPROBS = 20;

const stop = z
  .union([z.string().min(1).max(1024), z.array(z.string().min(1).max(1024)).max(MAX_STOPS)])
  .nullish()
  .openapi({ description: "Strings that end the answer. They are not part of it." });

const logitBias = z
  .record(z.string().regex(/^\d{1,9}$/, "keys must be token ids"), z.number().min(-100).max(100))
  .refine((map) => Object.keys(map).length <= 4096, "has more than 4096 entries")
  .nullish();

const base64 = z.string().openapi({ description: "Base64 of a .mosara file." });
const hash = z
  .string()
  .regex(/^[0-9a-f]{64}$/i, "must be 64 hex digits")
  .openapi({ description: "SHA-256 of a .mosara file that this tenant has sent before, or has in the store." });
const blend = z
  .record(name, z.number().min(-MAX_BLEND_WEIGHT).max(MAX_BLEND_WEIGHT))
  .refine(
    (weights) => Object.keys(weights).length >= 1 && Object.keys(weights).length <= MAX_BLEND_MEMBERS,
    `expected 1 to ${MAX_BLEND_MEMBERS} adapters`,
  )
  .openapi({ description: "Weights by the names of adapters." });

const adapter = z
  .union(
    [
      name,
      z.looseObject({ data: base64 }), // loose, so that an object with both keys is refused later
      z.looseObject({ sha256: hash }),
      z.looseObject({ blend }),
    ],
    `expected an adapter's name, {"data": "<base64>"}, {"sha256": "<hash>"}, or {"blend": {"<name>": <weight>, …}}`,
  )
  .nullish()
  .openapi({
    description: "A stored adapter's name, an adapter for this request alone, or a weighted sum of stored adapters.",
  });

const tokenId = integer(0, 2 ** 31 - 1);

/** JSON Schemas and structural tags, as objects or as JSON text. `grammar.ts` checks them. */
const jsonOrText = z.union([z.string(), z.looseObject({})]).nullish();
const grammarText = z.string().max(MAX_GRAMMAR_CHARS).nullish();
const choices = z.array(z.string().min(1).max(65_536)).min(1).max(MAX_CHOICES).nullish();

const responseFormat = z
  .looseObject({
    type: z.enum(["text", "json_object", "json_schema", "structural_tag"]),
    json_schema: z.looseObject({ schema: z.unknown() }).nullish(),
  })
  .nullish()
  .openapi({ description: "Binds the answer to JSON, to a JSON Schema, or to a structural tag." });

const structuredOutputs = z
  .looseObject({
    json: jsonOrText,
    regex: grammarText,
    choice: choices,
    grammar: grammarText,
    json_object: z.boolean().nullish(),
    structural_tag: jsonOrText,
    whitespace_pattern: z.string().max(1024).nullish(),
    disable_any_whitespace: z.boolean().nullish(),
  })
  .nullish()
  .openapi({ description: "Binds the answer to a grammar: exactly one of its kinds." });

/** An adapter as other servers name it; `named-adapters.ts` reads it. */
const lora = z.union([name, z.array(z.looseObject({}))]).nullish();
const loraRequest = z.union([name, z.looseObject({ lora_name: name })]).nullish();
const loraPath = z.union([name, z.array(name.nullable()).max(MAX_PROMPTS)]).nullish();

const seed = z
  .number()
  .refine(Number.isInteger, "must be a whole number")
  .nullish()
  .openapi({ type: ["integer", "null"] });

const shared = {
  model: name.openapi({ description: "The base's name, an adapter's name, or base:adapter." }),
  adapter,
  adapter_id: name.nullish(),
  lora,
  lora_name: name.nullish(),
  lora_path: loraPath,
  lora_request: loraRequest,
  max_tokens: integer(0, 2 ** 31 - 1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: integer(-1, 2 ** 31 - 1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  n: integer(1, MAX_SEQUENCES).nullish(),
  stop,
  include_stop_str_in_output: z.boolean().nullish(),
  no_stop_trim: z.boolean().nullish(),
  stop_token_ids: z.array(tokenId).max(1024).nullish(),
  seed,
  stream: z.boolean().nullish(),
  stream_options: z
    .looseObject({ include_usage: z.boolean().nullish(), continuous_usage_stats: z.boolean().nullish() })
    .nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().gt(0).max(100).nullish(),
  logit_bias: logitBias,
  bad_words: z.array(z.string().min(1).max(256)).max(MAX_BAD_WORDS).nullish(),
  allowed_token_ids: z.array(tokenId).min(1).max(MAX_ALLOWED_IDS).nullish(),
  prompt_logprobs: integer(0, MAX_LOGPROBS).nullish(),
  truncate_prompt_tokens: integer(-1, 2 ** 31 - 1)
    .refine((count) => count !== 0, "must be -1 or at least 1")
    .nullish(),
  truncation_side: z.enum(["left", "right"]).nullish(),
  cache_salt: z.string().min(1).max(1024).nullish(),
  ignore_eos: z.boolean().nullish(),
  min_tokens: integer(0, 2 ** 31 - 1).nullish(),
  skip_special_tokens: z.boolean().nullish(),
  return_token_ids: z.boolean().nullish(),
  mosara_receipt: z.boolean().nullish(),
  user: z.string().max(1024).nullish(),
  response_format: responseFormat,
  structured_outputs: structuredOutputs,
  guided_json: jsonOrText,
  guided_regex: grammarText,
  guided_choice: choices,
  guided_grammar: grammarText,
  guided_json_object: z.boolean().nullish(),
  guided_whitespace_pattern: z.string().max(1024).nullish(),
  structural_tag: jsonOrText,
  json_schema: jsonOrText,
  grammar: grammarText,
  regex: grammarText,
  ebnf: grammarText,
};

/** Fields of both endpoints. */
export type SharedFields = z.output<z.ZodObject<typeof shared>>;

/** The forms of a prompt. `prompts.ts` checks it, faster than a schema could check a million ids. */
const prompt = z
  .unknown()
  .refine((value) => value !== undefined && value !== null, "is missing")
  .openapi({
    description: "A string, a list of strings, a list of token ids, or a list of lists of token ids.",
    oneOf: [
      { type: "string" },
      { type: "array", items: { type: "string" } },
      { type: "array", items: { type: "integer" } },
      { type: "array", items: { type: "array", items: { type: "integer" } } },
    ],
  });

/** Body of POST /v1/completions. */
export const completionRequest = z
  .looseObject({
    ...shared,
    prompt,
    best_of: integer(1, MAX_SEQUENCES).nullish().openapi({
      description: "Number of answers to generate. The server sends the n with the highest mean log-probability.",
    }),
    logprobs: integer(0, MAX_LOGPROBS).nullish(),
    echo: z.boolean().nullish(),
    add_special_tokens: z.boolean().nullish(),
  })
  .openapi("CompletionRequest");

const textPart = z.looseObject({ type: z.string(), text: z.string().optional() });
const message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool", "function"]),
  content: z.union([z.string(), z.array(textPart).max(4096)]).nullish(),
  name: z.string().max(256).nullish(),
  tool_calls: z.array(z.looseObject({})).max(1024).nullish(),
});

/** Body of POST /v1/chat/completions. */
export const chatRequest = z
  .looseObject({
    ...shared,
    messages: z.array(message).min(1).max(65_536),
    max_completion_tokens: integer(0, 2 ** 31 - 1).nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: integer(0, MAX_LOGPROBS).nullish(),
    tools: z
      .array(z.looseObject({ type: z.literal("function") }))
      .max(1024)
      .nullish(),
    tool_choice: z.union([z.string(), z.looseObject({})]).nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    reasoning_effort: z.string().max(64).nullish(),
    include_reasoning: z.boolean().nullish(),
    separate_reasoning: z.boolean().nullish(),
    add_generation_prompt: z.boolean().nullish(),
    continue_final_message: z.boolean().nullish(),
    chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
    chat_template: z.string().nullish(),
    documents: z.array(z.record(z.string(), z.unknown())).max(1024).nullish(),
  })
  .openapi("ChatCompletionRequest");

/** Fields of the chat-like endpoints of other APIs, under chat's names. Each endpoint adds its own fields. */
export const samplingShape = (({
  max_tokens: _m,
  n: _n,
  stop: _s,
  stream_options: _o,
  prompt_logprobs: _p,
  return_token_ids: _i,
  response_format: _r,
  ...rest
}) => ({
  ...rest,
  ...chatRequest.pick({
    add_generation_prompt: true,
    continue_final_message: true,
    chat_template_kwargs: true,
    chat_template: true,
    documents: true,
  }).shape,
}))(shared);

export type CompletionRequest = z.output<typeof completionRequest>;
export type ChatRequest = z.output<typeof chatRequest>;
export type ChatMessage = z.output<typeof message>;
