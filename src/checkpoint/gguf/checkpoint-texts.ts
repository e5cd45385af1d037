/**
 * The text files that a GGUF model's checkpoint would have: configuration, tokenizer, chat template. They are made when
 * a caller asks for them. If a text cannot be made, the model is refused earlier.
 */
import { AppError, quote } from "../../errors.ts";
import type { RawConfig } from "../../model/config/config-reader.ts";
import type { CheckpointTexts } from "../checkpoint.ts";
import type { MetadataReader } from "./metadata-reader.ts";
import { pythonJson } from "./python-json.ts";
import { planTokenizer } from "./tokenizer-json.ts";
import { type Vocabulary, readVocabulary } from "./vocabulary.ts";

export interface GgufTexts {
  readonly texts: CheckpointTexts;
  /** Notices for the user before the model is built. */
  readonly notices: readonly string[];
  /** The special ids, under the names that config.json has for them. */
  readonly tokenIds: RawConfig;
}

/** @throws {AppError} checkpoint_unsupported, checkpoint_invalid */
export function ggufTexts(metadata: MetadataReader, config: RawConfig, usualPreTokenizer: string | null): GgufTexts {
  const model = metadata.text("tokenizer.ggml.model");
  if (model === undefined || model === "none" || model === "no_vocab") return withoutTokenizer(metadata, config);
  const vocabulary = readVocabulary(metadata);
  assertRows(metadata, vocabulary, (config.vocab_size as number | undefined) ?? 0);
  const plan = planTokenizer(metadata, vocabulary, usualPreTokenizer);
  const { bos, padding, ends } = vocabulary;
  const [firstEnd] = ends;
  const eos = ends.length > 1 ? ends : (firstEnd ?? null);
  const tokenIds = { bos_token_id: bos, eos_token_id: eos, pad_token_id: padding };
  const settings = tokenizerConfig(metadata, vocabulary, config);
  const texts = new Map([
    ["config.json", async () => pythonJson({ ...config, ...tokenIds })],
    ["generation_config.json", async () => pythonJson(tokenIds)],
    ["tokenizer.json", async () => JSON.stringify(plan.make())],
    ["tokenizer_config.json", async () => pythonJson(settings)],
  ]);
  return { texts, notices: plan.notices, tokenIds };
}

/** @throws {AppError} checkpoint_invalid for tokens without a row in the model's embedding */
function assertRows(metadata: MetadataReader, { tokens, kinds }: Vocabulary, numRows: number): void {
  const beyond = tokens.findIndex((_, id) => id >= numRows && kinds[id] !== "unused");
  if (beyond >= 0)
    throw new AppError(
      "checkpoint_invalid",
      `${metadata.path}: the token ${quote(tokens[beyond])} has the id ${beyond}, but the embedding has ${numRows} rows. Convert the model again.`,
    );
}

function withoutTokenizer(metadata: MetadataReader, config: RawConfig): GgufTexts {
  return {
    texts: new Map([["config.json", async () => pythonJson(config)]]),
    notices: [`${metadata.path} has no tokenizer. A base that is built from it accepts only token ids.`],
    tokenIds: {},
  };
}

function tokenizerConfig(metadata: MetadataReader, vocabulary: Vocabulary, config: RawConfig): RawConfig {
  const { tokens, bos, eos, unknown, padding } = vocabulary;
  const text = (id: number | null): string | null => (id === null ? null : (tokens[id] ?? null));
  const template = chatTemplate(metadata);
  return {
    // tokenizer.json is complete. A tokenizer class would add parts of its own.
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: text(bos),
    eos_token: text(eos),
    unk_token: text(unknown),
    pad_token: text(padding),
    clean_up_tokenization_spaces: false,
    model_max_length: config.max_position_embeddings ?? config.n_positions ?? null,
    ...(template === null ? {} : { chat_template: template }),
  };
}

const TEMPLATE_KEY = "tokenizer.chat_template";

/** The template as the file states it; a list where the file has named templates too. */
function chatTemplate(metadata: MetadataReader): string | readonly { name: string; template: string }[] | null {
  const plain = metadata.text(TEMPLATE_KEY) ?? null;
  const named = (metadata.strings("tokenizer.chat_templates") ?? []).flatMap((name) => {
    const template = metadata.text(`${TEMPLATE_KEY}.${name}`);
    return template === undefined ? [] : [{ name, template }];
  });
  if (named.length === 0) return plain;
  const isDefaultNamed = named.some(({ name }) => name === "default");
  return plain === null || isDefaultNamed ? named : [{ name: "default", template: plain }, ...named];
}
