/**
 * The text part of a model that also reads images. Its settings are in `text_config`, and its tensors have a prefix.
 * Without images the text part is a model of its own, and the same as the whole model. The other tensors are not read.
 */
import { type RawConfig, readObject } from "../model/config/config-reader.ts";
import { settingText, withSettings } from "./config-text.ts";
import type { TensorFiles } from "./tensor-files.ts";

/** By the `model_type` of the whole: the text models that it may have, with their classes. The first is the default. */
const WHOLES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  gemma3: { gemma3_text: "Gemma3ForCausalLM" },
  mistral3: { mistral: "MistralForCausalLM", ministral3: "Ministral3ForCausalLM" },
};

/** Settings that the whole may state for its text part. */
const SHARED = ["bos_token_id", "eos_token_id", "pad_token_id", "torch_dtype", "dtype"];

/** Prefixes of the text part's tensors, as transformers 4 and 5 write them, and their names in a text model. */
const PREFIXES: readonly (readonly [stored: string, plain: string])[] = [
  ["language_model.model.", "model."],
  ["language_model.lm_head.", "lm_head."],
  ["model.language_model.", "model."],
  ["lm_head.", "lm_head."],
];

export const TEXT_PART_NOTICE = "The model of the checkpoint also reads images. Only its text part is used.";

export interface TextPart {
  readonly config: RawConfig;
  /** The text of its own config.json. @param text that of the whole */
  configText(text: string): string;
  files(files: TensorFiles): TensorFiles;
}

/** null where the configuration describes no such model, or one whose text part is not known. */
export function textPartOf(raw: RawConfig): TextPart | null {
  const type = raw.model_type;
  const classes = typeof type === "string" && Object.hasOwn(WHOLES, type) ? WHOLES[type] : undefined;
  const text = classes && readObject(raw, "text_config");
  if (!classes || !text) return null;
  const textType = typeof text.model_type === "string" ? text.model_type : (Object.keys(classes)[0] ?? "");
  const architecture = classes[textType];
  if (architecture === undefined) return null;
  const isShared = (key: string): boolean => (text[key] ?? null) === null && (raw[key] ?? null) !== null;
  const shared = Object.fromEntries(SHARED.filter(isShared).map((key) => [key, raw[key]]));
  // The configuration of the whole decides whether the head is tied. By default, the classes of the whole tie the head.
  const tie_word_embeddings = raw.tie_word_embeddings ?? true;
  const settings = { architectures: [architecture], model_type: textType, tie_word_embeddings, ...shared };
  return {
    config: { ...text, ...settings },
    configText: (whole) => withSettings(settingText(whole, "text_config") ?? "{}", settings),
    files: textFiles,
  };
}

function textFiles(files: TensorFiles): TensorFiles {
  const stored = new Map<string, string>();
  for (const name of files.names()) {
    const [prefix, plain] = PREFIXES.find(([one]) => name.startsWith(one)) ?? [];
    if (prefix !== undefined && plain !== undefined) stored.set(plain + name.slice(prefix.length), name);
  }
  const nameOf = (name: string): string => stored.get(name) ?? name;
  return {
    names: () => [...stored.keys()],
    has: (name) => stored.has(name),
    entry: (name) => (stored.has(name) ? files.entry(nameOf(name)) : undefined),
    read: (name) => files.read(nameOf(name)),
    readBytes: (name) => files.readBytes(nameOf(name)),
  };
}
