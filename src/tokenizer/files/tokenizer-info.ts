/**
 * A tokenizer's configuration for clients that render and encode themselves: tokenizer_config.json as transformers
 * merges it, the class and the chat template. Source: `/tokenizer_info` of vLLM. It contains no file names and no
 * paths.
 */
import type { TextFiles } from "./text-files.ts";
import { tokenText } from "./tokenizer-config.ts";

/** The class that transformers uses for a tokenizer.json without another one. */
const GENERAL_CLASS = "PreTrainedTokenizerFast";

/** Fields that name places on the machine where the tokenizer was saved. */
const PLACES: ReadonlySet<string> = new Set(["name_or_path", "vocab_file", "merges_file", "tokenizer_file"]);

export type TokenizerInfo = Readonly<Record<string, unknown>>;

/** The configuration among a model's text files. */
export function tokenizerInfo({ tokenizer, templates }: TextFiles): TokenizerInfo {
  const { chat_template: _, tokenizer_class: name, ...config } = tokenizer.config;
  const fields = Object.entries(config)
    .filter(([field]) => !PLACES.has(field))
    // An added token is an object with flags. Clients expect its text, which transformers' own attributes have, too.
    .map(([field, value]) => [field, field.endsWith("_token") ? (tokenText(value) ?? value) : value] as const);
  const template = templates.get("default") ?? templates.values().next().value;
  return {
    ...Object.fromEntries(fields),
    tokenizer_class: typeof name === "string" ? name : GENERAL_CLASS,
    ...(template === undefined ? {} : { chat_template: template }),
  };
}
