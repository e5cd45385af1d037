/**
 * Converts text to a model's tokens: added tokens are cut out; the rest is normalised, split into words and given to
 * the model. The steps before the model are ours (normalizers.ts, pre-tokenizers.ts) and replace the library's.
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
 * The library's tokenizer without the steps that are ours. We fill in BPE's tokens and merges, because the library
 * takes seconds to make large maps.
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

/** A piece of a word in the library's queue of merges. */
interface HubPiece {
  readonly token: string;
  readonly next: { readonly token: string };
  /** The place in the word, below 1: of equal merges, the first comes first. */
  readonly bias: number;
  score: number;
}

/** Members of the library's BPE model that encoding reads. */
interface HubBpe {
  tokens_to_ids: TokenIds;
  unk_token_id: number | undefined;
  readonly unk_token: string;
  /** Queues a piece if it merges with the next one. */
  add_node: (queue: { push(piece: HubPiece): void }, piece: HubPiece) => void;
}

interface TokenIds {
  get(token: string): number | undefined;
  has(token: string): boolean;
}

function fillBpe(model: HubBpe, { ids, merges, json }: TokenizerFiles): void {
  model.unk_token_id = ids.get(model.unk_token);
  const added = new Map(json.added_tokens.map(({ content, id }) => [content, id]));
  model.tokens_to_ids = {
    get: (token) => ids.get(token) ?? added.get(token), // no added token has another id than the vocabulary's
    has: (token) => ids.has(token) || added.has(token),
  };
  model.add_node = (queue, piece) => {
    const rank = merges?.rankOf(piece.token, piece.next.token);
    if (rank === undefined) return;
    piece.score = rank + piece.bias;
    queue.push(piece);
  };
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

/**
 * Cuts added tokens out of a text. A token absorbs the adjacent white space where its flags say so. Empty texts are
 * left out.
 */
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
