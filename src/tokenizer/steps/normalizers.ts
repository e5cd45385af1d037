/**
 * Normalises text before it is split into words: the normalizers of `tokenizers` 0.23, equal to the original.
 * The JavaScript library guesses compiled SentencePiece maps,
 * lower-cases by context and misses characters beyond the basic plane.
 * Source: the normalizers of the original.
 */
import { makePrecompiledMap } from "./precompiled-map.ts";
import { patternOf, textSetting } from "./pre-tokenizers.ts";

type Json = Readonly<Record<string, unknown>>;

export type Normalizer = (text: string) => string;

/** The normalizer of tokenizer.json; null where it has none. @throws {Error} for an unknown type. */
export function makeNormalizer(config: Json | null): Normalizer | null {
  if (config === null) return null;
  switch (config.type) {
    case "Sequence": {
      const steps = ((config.normalizers ?? []) as Json[]).map((step) => makeNormalizer(step));
      return (text) => steps.reduce((changed, step) => (step === null ? changed : step(changed)), text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const form = config.type;
      return (text) => text.normalize(form);
    }
    case "Lowercase":
      return lowercase;
    case "StripAccents":
      return (text) => text.replace(/\p{M}/gu, "");
    case "Strip":
      return (text) => strip(text, config.strip_left !== false, config.strip_right !== false);
    case "Prepend":
      return (text) => (text === "" ? "" : textSetting(config, "prepend", "") + text);
    case "Replace": {
      const pattern = patternOf(config.pattern as Json);
      const content = textSetting(config, "content", "");
      return (text) => text.replaceAll(pattern, () => content);
    }
    case "Precompiled":
      return makePrecompiledMap(textSetting(config, "precompiled_charsmap", ""));
    case "BertNormalizer":
      return bert(config);
    default:
      throw new Error(`Unknown Normalizer type: ${String(config.type)}`);
  }
}

/** Lower-cases character by character: a capital sigma is the same at the end of a word. */
function lowercase(text: string): string {
  return text.replaceAll("\u03a3", "\u03c3").toLowerCase();
}

function strip(text: string, left: boolean, right: boolean): string {
  const start = left ? (/^\p{White_Space}*/u.exec(text)?.[0].length ?? 0) : 0;
  const rest = text.slice(start);
  return right ? rest.replace(/\p{White_Space}+$/u, "") : rest;
}

/** The characters that BERT treats as Chinese. */
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

function bert(config: Json): Normalizer {
  const stripsAccents = config.strip_accents ?? config.lowercase ?? true;
  return (text) => {
    let out = text;
    if (config.clean_text !== false)
      out = out.replace(/(?![\t\n\r])[\0\ufffd\p{Cc}\p{Cf}\p{Co}]/gu, "").replace(/\p{White_Space}/gu, " ");
    if (config.handle_chinese_chars !== false) out = out.replace(CHINESE, " $& ");
    if (stripsAccents !== false) out = out.normalize("NFD").replace(/\p{Mn}/gu, "");
    return config.lowercase === false ? out : lowercase(out);
  };
}
