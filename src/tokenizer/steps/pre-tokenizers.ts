/**
 * Splits text into words for the model: the pre-tokenizers of `tokenizers` 0.23, equal to the original step by step.
 * The JavaScript library knows only ASCII digits and punctuation,
 * ignores most split behaviours, and uses JavaScript's white space.
 * Source: the pre-tokenizers and `NormalizedString::split` of the original.
 */
import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import { quote } from "../../errors.ts";
import { byteLevelCharacters } from "../stream-decoder.ts";

type Json = Readonly<Record<string, unknown>>;

/** @param isFirst whether the text is the start of the encoded input. */
export type PreTokenizer = (text: string, isFirst: boolean) => string[];

/** A part of a text, and whether the pattern of a split matches it. */
type Part = readonly [text: string, isMatch: boolean];

/** A text among a step's settings. @throws {Error} where the value is not a text. */
export function textSetting(config: Json, name: string, fallback: string): string {
  const value = config[name] ?? fallback;
  if (typeof value === "string") return value;
  throw new Error(`${name} of ${String(config.type)} should be a text, found ${quote(value)}`);
}

/** GPT-2's words; `\s` as in Oniguruma. */
const BYTE_LEVEL_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
const WORDS = new RegExp(`[${WORD}]+|[^${WORD}\\p{White_Space}]+`, "gu");
const WHITE_SPACE = /\p{White_Space}/gu;
const NUMBER = /\p{N}/gu;
/** Unicode punctuation, and the characters that ASCII counts as such. */
const PUNCTUATION = /[\p{P}$+<=>^`|~]/gu;

/** The pre-tokenizer of tokenizer.json. @throws {Error} for an unknown type. */
export function makePreTokenizer(config: Json | null): PreTokenizer {
  if (config === null) return (text) => [text];
  switch (config.type) {
    case "Sequence": {
      return sequence((config.pretokenizers ?? []) as Json[]);
    }
    case "ByteLevel":
      return byteLevel(config);
    case "Metaspace":
      return metaspace(config);
    case "Split":
      return split(config);
    case "Digits": {
      const behavior = config.individual_digits === true ? "Isolated" : "Contiguous";
      return (text) => join(partsOf(text, NUMBER), behavior);
    }
    case "Punctuation": {
      const behavior = textSetting(config, "behavior", "Isolated");
      return (text) => join(partsOf(text, PUNCTUATION), behavior);
    }
    case "Whitespace":
      return (text) => text.match(WORDS) ?? [];
    case "WhitespaceSplit":
      return (text) => join(partsOf(text, WHITE_SPACE), "Removed");
    case "BertPreTokenizer":
      return (text) =>
        join(partsOf(text, WHITE_SPACE), "Removed").flatMap((word) => join(partsOf(word, PUNCTUATION), "Isolated"));
    case "CharDelimiterSplit":
      return (text) => text.split(textSetting(config, "delimiter", "")).filter((word) => word !== "");
    case "FixedLength": {
      const length = Number(config.length ?? 5);
      return (text) => {
        const characters = Array.from(text);
        const count = Math.ceil(characters.length / length);
        return Array.from({ length: count }, (_, i) => characters.slice(i * length, (i + 1) * length).join(""));
      };
    }
    default:
      throw new Error(`Unknown PreTokenizer type: ${String(config.type)}`);
  }
}

function sequence(configs: readonly Json[]): PreTokenizer {
  const steps = configs.map((config) => ({
    run: makePreTokenizer(config),
    rewrites: REWRITING.has(String(config.type)),
  }));
  return (text, isFirst) => {
    let words = [text];
    let startsFirst = isFirst;
    for (const { run, rewrites } of steps) {
      const [before = ""] = words;
      words = words.flatMap((word, i) => run(word, startsFirst && i === 0));
      // A step that drops the start of the text leaves no first word.
      startsFirst &&= rewrites || before.startsWith(words[0] ?? "");
    }
    return words;
  };
}

/** Steps that change the characters of words but drop no word. */
const REWRITING: ReadonlySet<string> = new Set(["ByteLevel", "Metaspace", "Sequence"]);

function byteLevel(config: Json): PreTokenizer {
  const characters = byteLevelCharacters();
  const encoder = new TextEncoder();
  return (text) => {
    const given = config.add_prefix_space !== false && !text.startsWith(" ") ? ` ${text}` : text;
    const words = config.use_regex === false ? [given] : (given.match(BYTE_LEVEL_WORDS) ?? []);
    return words.map((word) => Array.from(encoder.encode(word), (byte) => characters[byte]).join(""));
  };
}

function metaspace(config: Json): PreTokenizer {
  const mark = textSetting(config, "replacement", "\u2581");
  // Files before tokenizers 0.15 have add_prefix_space instead of prepend_scheme.
  const scheme = config.prepend_scheme ?? (config.add_prefix_space === false ? "never" : "always");
  return (text, isFirst) => {
    const marked = text.replaceAll(" ", mark);
    const isPrepended = (scheme === "always" || (scheme === "first" && isFirst)) && !marked.startsWith(mark);
    const whole = isPrepended ? mark + marked : marked;
    return config.split === false ? [whole] : join(partsOf(whole, literal(mark)), "MergedWithNext");
  };
}

function split(config: Json): PreTokenizer {
  const pattern = patternOf(config.pattern as Json);
  const behavior = textSetting(config, "behavior", "Isolated");
  return (text) => {
    const parts = partsOf(text, pattern);
    return join(config.invert === true ? parts.map(([part, isMatch]) => [part, !isMatch] as const) : parts, behavior);
  };
}

/**
 * A literal text, or an Oniguruma expression in JavaScript's syntax.
 * @throws {Error} for one that JavaScript cannot express.
 */
export function patternOf(pattern: Json): RegExp {
  if (typeof pattern.String === "string") return literal(pattern.String);
  if (typeof pattern.Regex !== "string") throw new Error(`Unknown pattern: ${quote(pattern)}`);
  // The library's own split converts Oniguruma expressions to JavaScript.
  const step = { type: "Split", pattern: { Regex: pattern.Regex }, behavior: "Isolated", invert: false };
  const parts = { normalizer: null, pre_tokenizer: step, post_processor: null, decoder: null, added_tokens: [] };
  const hub = new HubTokenizer({ ...parts, model: { type: "BPE", vocab: {}, merges: [] } }, {});
  return (hub.pre_tokenizer as unknown as { readonly pattern: RegExp }).pattern;
}

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "gu");
}

/** The matches of a pattern and the text between them, in order. */
function partsOf(text: string, pattern: RegExp): Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > from) parts.push([text.slice(from, match.index), false]);
    if (match[0] !== "") parts.push([match[0], true]);
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push([text.slice(from), false]);
  return parts;
}

/** The words made from the parts. @throws {Error} for an unknown behaviour. */
function join(parts: readonly Part[], behavior: string): string[] {
  switch (behavior.toLowerCase().replaceAll("_", "")) {
    case "isolated":
      return parts.map(([part]) => part);
    case "removed":
      return parts.flatMap(([part, isMatch]) => (isMatch ? [] : [part]));
    case "contiguous":
      return merged(parts, (isMatch, wasMatch) => isMatch === wasMatch);
    case "mergedwithprevious":
      return merged(parts, (isMatch, wasMatch) => isMatch && !wasMatch);
    case "mergedwithnext":
      return merged(
        parts.toReversed().map(([part, isMatch]) => [reversed(part), isMatch] as const),
        (isMatch, wasMatch) => isMatch && !wasMatch,
      )
        .map(reversed)
        .toReversed();
    default:
      throw new Error(`Unknown behavior of a split: ${behavior}`);
  }
}

function merged(parts: readonly Part[], isOne: (isMatch: boolean, wasMatch: boolean) => boolean): string[] {
  const words: string[] = [];
  let wasMatch = false;
  for (const [part, isMatch] of parts) {
    if (words.length > 0 && isOne(isMatch, wasMatch)) words.push((words.pop() ?? "") + part);
    else words.push(part);
    wasMatch = isMatch;
  }
  return words;
}

function reversed(text: string): string {
  return Array.from(text).reverse().join("");
}
