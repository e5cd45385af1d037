/**
 * Converts text to a model's tokens: added tokens are cut out; the rest is normalised, split into words and given to the model.
 * The steps before the model are ours (normalizers.ts, pre-tokenizers.ts) and replace the library's.
 */
import type { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import { makeNormalizer } from "./normalizers.ts";
import { makePreTokenizer } from "./pre-tokenizers.ts";
import type { TokenizerFiles } from "../files/tokenizer-files.ts";

interface HubAddedToken {
  readonly content: string;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
}

interface Splitter {
  split(text: string): string[];
}

/** Members of the library's tokenizer that its type declarations lack. */
interface HubInside {
  readonly added_tokens: readonly HubAddedToken[];
  readonly added_tokens_map: Map<string, HubAddedToken>;
  readonly splitter_unnormalized: Splitter;
  readonly model: (words: string[]) => string[];
  encode_text: (text: string | null) => string[] | null;
}

/** Files for the library's tokenizer, without the steps that are ours. */
export function withoutSteps(files: TokenizerFiles): TokenizerFiles["json"] {
  return { ...files.json, normalizer: null, pre_tokenizer: null };
}

/** Installs our steps in the library's tokenizer. @throws {Error} for an unknown step. */
export function installSteps(tokenizer: HubTokenizer, files: TokenizerFiles): void {
  const hub = tokenizer as unknown as HubInside;
  const normalize = makeNormalizer(files.json.normalizer as Parameters<typeof makeNormalizer>[0]);
  const preTokenize = makePreTokenizer(files.json.pre_tokenizer as Parameters<typeof makePreTokenizer>[0]);
  const MadeSplitter = hub.splitter_unnormalized.constructor as new (texts: readonly string[]) => Splitter;
  const isNormalized = (token: HubAddedToken): boolean => token.normalized && normalize !== null;
  const asWritten = new Map(
    hub.added_tokens.flatMap((one) => (isNormalized(one) ? [] : [[one.content, one] as const])),
  );
  const inNormalized = new Map(
    hub.added_tokens.flatMap((one) => (isNormalized(one) ? [[normalize?.(one.content) ?? "", one] as const] : [])),
  );
  for (const [content, token] of inNormalized) hub.added_tokens_map.set(content, token);
  const first = makeCutter(new MadeSplitter([...asWritten.keys()]), asWritten);
  const second = makeCutter(new MadeSplitter([...inNormalized.keys()]), inNormalized);
  hub.encode_text = (text) => {
    if (text === null) return null;
    return first(text).flatMap((section, i) => {
      if (section.token !== null) return [section.token.content];
      const normalized = normalize === null ? section.text : normalize(section.text);
      return second(normalized).flatMap((piece, j) => {
        if (piece.token !== null) return [piece.token.content];
        return hub.model(preTokenize(piece.text, i === 0 && j === 0));
      });
    });
  };
}

interface Section {
  readonly text: string;
  readonly token: HubAddedToken | null;
}

/** Cuts added tokens out of a text. A token absorbs the adjacent white space where its flags say so. Empty texts are left out. */
function makeCutter(splitter: Splitter, tokens: ReadonlyMap<string, HubAddedToken>): (text: string) => Section[] {
  return (text) => {
    if (tokens.size === 0) return text === "" ? [] : [{ text, token: null }];
    const sections = splitter.split(text).map((part) => ({ text: part, token: tokens.get(part) ?? null }));
    const trimmed = sections.map(({ text: part, token }, i) => {
      if (token !== null) return { text: part, token };
      let rest = part;
      if (sections[i - 1]?.token?.rstrip === true) rest = rest.replace(/^\p{White_Space}+/u, "");
      if (sections[i + 1]?.token?.lstrip === true) rest = rest.replace(/\p{White_Space}+$/u, "");
      return { text: rest, token };
    });
    return trimmed.filter((section) => section.text !== "");
  };
}
