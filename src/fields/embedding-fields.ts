/** Fields of POST /v1/embeddings. Those that name an adapter are the same as elsewhere (`adapter-fields.ts`). */
import { ADAPTER_FIELDS } from "./adapter-fields.ts";
import { empty, harmless, heeded, is, nothing, refused, type Server, type Treatment, without } from "./field.ts";

/** Hosted services whose clients may be pointed at this server. */
type Hosted = "Cohere" | "Jina" | "Voyage";

export interface EmbeddingField {
  readonly name: string;
  readonly servers: readonly (Server | Hosted)[];
  readonly treatment: Treatment;
}

const of = (
  servers: EmbeddingField["servers"],
  fields: Readonly<Record<string, Treatment>>,
): readonly EmbeddingField[] => Object.entries(fields).map(([name, treatment]) => ({ name, servers, treatment }));

const DTYPE = 'Vectors are float32. Send "encoding_format".';
const NORM = 'Send "normalize".';
const POOLING = 'Send "pooling".';
const INSTRUCTION = "Write the instruction into the input.";

export const EMBEDDING_FIELDS: readonly EmbeddingField[] = [
  ...of(["OpenAI"], {
    model: heeded("The base's name, an adapter's name, or base:adapter."),
    input: heeded("A text, a list of texts, token ids, or lists of token ids. At most 2048 inputs."),
    encoding_format: heeded("float (the default) or base64 of float32 numbers."),
    dimensions: heeded("Number of leading components to keep. The vector is then normalised."),
    user: heeded("An alias answers the same user with the same target. Tenants come from keys."),
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
    pooling_type: refused(nothing, POOLING),
    pooling_params: refused(empty, POOLING),
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
    inputs: refused(nothing, 'Send "input".'),
    prompt_name: refused(nothing, INSTRUCTION),
    input_type: refused(nothing, INSTRUCTION),
  }),
  ...of(["Cohere", "Jina", "Voyage"], {
    embedding_type: refused(is("float", "base64"), 'Send "encoding_format".'),
    embedding_types: refused(empty, 'Send "encoding_format".'),
    output_dtype: refused(is("float"), DTYPE),
    output_dimension: refused(nothing, 'Send "dimensions".'),
    normalized: refused(nothing, NORM),
    task: refused(nothing, INSTRUCTION),
    instruction: refused(empty, INSTRUCTION),
    late_chunking: refused(is(false), "Every input has a vector of its own."),
    images: refused(empty, "The server accepts only text."),
    texts: refused(nothing, 'Send "input".'),
  }),
  ...ADAPTER_FIELDS.map(({ name, servers, treatment }) => ({ name, servers, treatment: treatment.completions })),
];
