/**
 * The added tokens of a tokenizer: those of tokenizer.json, then those of the configuration, with the ids of the
 * original. An id is the vocabulary's or the next free id, even if a file states another. Source: `tokenizers` 0.23,
 * transformers 5.24.
 */
import { AppError, quote } from "../../errors.ts";
import type { ClassTraits } from "./tokenizer-class.ts";
import { isObject, namedTokens, namelessTokens, tokenText } from "./tokenizer-config.ts";

type Json = Record<string, unknown>;

/** One added token, with the file's own key names. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
  readonly special?: boolean;
}

type TokenEntry = Omit<AddedToken, "id">;

interface AddedTokenOptions extends ClassTraits {
  readonly vocab: ReadonlyMap<string, number>;
  /** Used only in messages. */
  readonly dir: string;
}

/**
 * @param config a merged configuration (tokenizer-config.ts)
 * @throws {AppError} checkpoint_invalid for a token without a text
 */
export function completeAddedTokens(
  json: Json,
  config: Json,
  { vocab, dir, rebuilds, strips }: AddedTokenOptions,
): AddedToken[] {
  const tokens = new Map<string, AddedToken>();
  let next = 0;
  for (const id of vocab.values()) next = Math.max(next, id + 1);
  const add = (entry: TokenEntry): void => {
    if (entry.content === "") return;
    const known = tokens.get(entry.content);
    const id = known?.id ?? vocab.get(entry.content) ?? next++;
    // A token that occurs again changes its flags, but a special token stays special.
    tokens.set(entry.content, { ...entry, id, special: known?.special === true || entry.special === true });
  };
  const listed = (Array.isArray(json.added_tokens) ? (json.added_tokens as unknown[]) : []).map((token) =>
    checkedEntry(token, dir),
  );
  if (!rebuilds) listed.forEach(add);
  const declared = declaredTokens(config, listed);
  const named = namedTokens(config).map(([, token]) => token);
  const names = new Set(named.map(tokenText));
  for (const token of declared) add({ ...token, special: token.special === true || names.has(token.content) });
  const byContent = new Map(declared.map((token) => [token.content, token]));
  const present = new Set(tokens.keys());
  for (const token of [...named, ...namelessTokens(config)]) {
    const content = tokenText(token) ?? "";
    if (present.has(content)) continue;
    const flags = byContent.get(content) ?? (isObject(token) ? (token as unknown as TokenEntry) : {});
    const isSpecial = !isObject(token) || names.has(content) || token.special === true;
    add({ ...flags, content, special: isSpecial });
  }
  // Such a class adds its special tokens again, only by their texts.
  if (strips)
    for (const token of [...named, ...namelessTokens(config)]) add({ content: tokenText(token) ?? "", special: true });
  return [...tokens.values()];
}

/**
 * The tokens of the configuration, in the order of ids: only
 * `added_tokens_decoder` of tokenizer_config.json, or added_tokens.json.
 * A token of tokenizer.json outranks a token of added_tokens.json with the same id.
 */
function declaredTokens(config: Json, listed: readonly AddedToken[]): TokenEntry[] {
  const { added_tokens_decoder: decoder, added_tokens: older } = config;
  const declared = isObject(decoder) ? decoder : isObject(older) ? older : {};
  const byId = new Map<number, TokenEntry>();
  for (const [id, entry] of Object.entries(declared)) {
    const content = tokenText(entry);
    if (content !== undefined) byId.set(Number(id), { ...(entry as Json), content });
  }
  if (!isObject(decoder)) for (const token of listed) byId.set(token.id, token);
  return [...byId].sort(([a], [b]) => a - b).map(([, entry]) => entry);
}

function checkedEntry(token: unknown, dir: string): AddedToken {
  if (isObject(token) && typeof token.content === "string" && Number.isInteger(token.id) && Number(token.id) >= 0)
    return token as unknown as AddedToken;
  throw new AppError(
    "checkpoint_invalid",
    `An added token of tokenizer.json in ${dir} has no text or no id: ${quote(token)}`,
  );
}
