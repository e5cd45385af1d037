/**
 * Converts text to a model's tokens: added tokens are cut out; the rest is normalised, split into words and given to the model.
 * The steps before the model are ours (normalizers.ts, pre-tokenizers.ts) and replace the library's.
 */
import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
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

/**
 * The library's tokenizer without the steps that are ours. We fill in BPE's maps, because the library takes seconds to
 * make large maps.
 */
export function libraryTokenizer(files: TokenizerFiles, options: object): HubTokenizer {
  const { json, ids } = files;
  const isBpe = json.model.type === "BPE";
  const vocab = isBpe ? {} : Array.isArray(json.model.vocab) ? json.model.vocab : Object.fromEntries(ids);
  const model = { ...json.model, vocab, ...(isBpe ? { merges: [] } : {}) };
  const tokenizer = new HubTokenizer({ ...json, model, normalizer: null, pre_tokenizer: null }, options);
  if (isBpe) fillBpe((tokenizer as unknown as { readonly model: HubBpe }).model, files);
  return tokenizer;
}

/** Members of the library's BPE model that encoding reads. */
interface HubBpe {
  tokens_to_ids: Map<string, number>;
  unk_token_id: number | undefined;
  readonly unk_token: string;
  /** Rank of a merge, by the JSON text of its two parts. */
  bpe_ranks: Map<string, number>;
}

function fillBpe(model: HubBpe, { ids, json }: TokenizerFiles): void {
  model.unk_token_id = ids.get(model.unk_token);
  model.tokens_to_ids = new Map(ids);
  for (const { content, id } of json.added_tokens) model.tokens_to_ids.set(content, id);
  const merges = json.model.merges as readonly (string | readonly string[])[];
  model.bpe_ranks = new Map();
  for (const [rank, merge] of merges.entries())
    model.bpe_ranks.set(mergeKey(typeof merge === "string" ? merge.split(" ", 2) : merge), rank);
}

/** Characters that JSON escapes. */
const ESCAPED = /["\\\p{Cc}\p{Cs}]/u;

/** The JSON text of a merge. JSON.stringify takes twice as long. */
function mergeKey([left = "", right = ""]: readonly string[]): string {
  const isPlain = !ESCAPED.test(left) && !ESCAPED.test(right);
  return isPlain ? `["${left}","${right}"]` : JSON.stringify([left, right]);
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
