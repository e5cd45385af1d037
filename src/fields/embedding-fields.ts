/** Fields of POST /v1/embeddings. Those that name an adapter are the same as elsewhere (`adapter-fields.ts`). */
import { ADAPTER_FIELDS } from "./adapter-fields.ts";
import { empty, harmless, heeded, is, nothing, refused, type Server, type Treatment, without } from "./field.ts";

export interface EmbeddingField {
  readonly name: string;
  readonly servers: readonly Server[];
  readonly treatment: Treatment;
}

const of = (servers: readonly Server[], fields: Readonly<Record<string, Treatment>>): readonly EmbeddingField[] =>
  Object.entries(fields).map(([name, treatment]) => ({ name, servers, treatment }));

const DTYPE = 'Vectors are float32. Send "encoding_format".';
const NORM = 'Send "normalize".';
const INSTRUCTION = "Write the instruction into the input.";

export const EMBEDDING_FIELDS: readonly EmbeddingField[] = [
  ...of(["OpenAI"], {
    model: heeded("The base's name, an adapter's name, or base:adapter."),
    input: heeded("A text, a list of texts, token ids, or lists of token ids. At most 2048 inputs."),
    encoding_format: heeded("float (the default) or base64 of float32 numbers."),
    dimensions: heeded("Number of leading components to keep. The vector is then normalised."),
    user: harmless("Tenants come from keys."),
    extra_body: refused(empty, "It is an argument of a client library. Send its content at the top level."),
  }),
  ...of(["mosara", "llama.cpp"], {
    pooling: heeded("mean or last. The default is `pooling` on the adapter's card, otherwise mean."),
  }),
  ...of(["vLLM"], {
    normalize: heeded("Whether vectors have the length 1 (the default)."),
    add_special_tokens: heeded("Whether texts get the tokenizer's special tokens."),
    truncate_prompt_tokens: heeded("Number of tokens of each input to keep. -1 keeps as many as fit."),
    truncation_side: heeded("The side that truncate_prompt_tokens cuts: left (the default) or right."),
    cache_salt: heeded("Inputs share the computation of a common beginning only if they have the same salt."),
    use_activation: refused(is(true), NORM),
    messages: refused(nothing, 'Send "input", rendered by POST /v1/chat/completions/render if need be.'),
    embed_dtype: refused(is("float32"), DTYPE),
    endianness: refused(is("native", "little"), DTYPE),
    priority: refused(is(0), "Tenants take turns by the number of their tokens."),
    request_id: harmless("Send the header x-request-id. The answer repeats it."),
    additional_data: harmless("Nothing reads it."),
    mm_processor_kwargs: harmless("It is about images, audio or video."),
  }),
  ...of(["llama.cpp"], {
    content: refused(nothing, 'Send "input".'),
    embd_normalize: refused(is(2), NORM),
  }),
  ...of(["TGI"], {
    truncate: refused(is(false), 'Send "truncate_prompt_tokens": -1.'),
    truncation_direction: refused(without("truncate", is(false)), 'Send "truncation_side".'),
    prompt_name: refused(nothing, INSTRUCTION),
    input_type: refused(nothing, INSTRUCTION),
  }),
  ...ADAPTER_FIELDS.map(({ name, servers, treatment }) => ({ name, servers, treatment: treatment.completions })),
];
