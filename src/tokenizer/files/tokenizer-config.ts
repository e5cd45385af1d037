/**
 * Merges tokenizer_config.json with the older files beside it,
 * special_tokens_map.json and added_tokens.json, as transformers 5.24 does.
 * The result is one object in which every special token has its place. Knows nothing of tokenizer.json and of free ids.
 */
import { AppError, quote } from "../../errors.ts";

type Json = Record<string, unknown>;

/** The files of one directory; undefined where a file does not exist. */
export interface ConfigFiles {
  readonly config: Json | undefined;
  readonly specialTokensMap: Json | undefined;
  readonly addedTokens: Json | undefined;
}

/** The special tokens that have a name in every tokenizer. */
const STANDARD_NAMES: readonly string[] = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
];

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text of a token in these files: a string, or an object with `content`. */
export function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.content === "string" ? value.content : undefined;
}

/**
 * The merged configuration: standard names, `extra_special_tokens` as a list, `model_specific_special_tokens` as a map,
 * `added_tokens_decoder`. added_tokens.json is under `added_tokens`. special_tokens_map.json overrides
 * tokenizer_config.json. Both of these older files are ignored where tokenizer_config.json has an
 * `added_tokens_decoder`.
 */
export function mergeTokenizerConfig({ config, specialTokensMap, addedTokens }: ConfigFiles, dir: string): Json {
  const merged = collectNames({ ...config });
  if (merged.added_tokens_decoder !== undefined) return settleNames(merged);
  if (specialTokensMap !== undefined) mergeSpecialTokensMap(merged, specialTokensMap);
  const settled = settleNames(merged);
  return addedTokens === undefined ? settled : { ...settled, added_tokens: decoderOf(addedTokens, merged, dir) };
}

/** Collects non-standard names under one key, and converts the older name of the list of further tokens. */
function collectNames(config: Json): Json {
  const { additional_special_tokens: additional, ...rest } = config;
  const isListed = additional !== undefined && isEmpty(rest.extra_special_tokens);
  const merged: Json = isListed ? { ...rest, extra_special_tokens: additional } : config;
  const own: Json = {};
  for (const [name, value] of Object.entries(merged))
    if (name.endsWith("_token") && !STANDARD_NAMES.includes(name) && typeof value === "string") own[name] = value;
  if (isObject(merged.extra_special_tokens)) {
    Object.assign(own, merged.extra_special_tokens);
    delete merged.extra_special_tokens;
  }
  // transformers drops model_specific_special_tokens where the configuration names such tokens in another way.
  if (Object.keys(own).length > 0) merged.model_specific_special_tokens = own;
  return merged;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || Object.keys(value).length === 0;
}

function mergeSpecialTokensMap(merged: Json, map: Json): void {
  for (const [name, value] of Object.entries(map)) {
    if (name === "extra_special_tokens" && Array.isArray(value)) {
      const existing = Array.isArray(merged.extra_special_tokens) ? (merged.extra_special_tokens as unknown[]) : [];
      merged.extra_special_tokens = [...existing, ...(value as unknown[]).map(asSpecial)];
    } else merged[name] = name === "extra_special_tokens" ? value : asSpecial(value);
  }
  if (!isObject(merged.extra_special_tokens)) return;
  const named = isObject(merged.model_specific_special_tokens) ? merged.model_specific_special_tokens : {};
  merged.model_specific_special_tokens = { ...named, ...merged.extra_special_tokens };
  delete merged.extra_special_tokens;
}

/** Objects of special_tokens_map.json are tokens, even if they have no `__type`. */
function asSpecial(value: unknown): unknown {
  return isObject(value) ? { ...value, __type: "AddedToken", special: true } : value;
}

/** Moves other names of special_tokens_map.json to the place where the rest is read. */
function settleNames(merged: Json): Json {
  const { additional_special_tokens: additional, ...settled } = merged;
  if (additional !== undefined && settled.extra_special_tokens === undefined) settled.extra_special_tokens = additional;
  const own: Json = {};
  for (const [name, value] of Object.entries(settled))
    if (name.endsWith("_token") && !STANDARD_NAMES.includes(name) && isToken(value)) own[name] = value;
  const explicit = isObject(settled.model_specific_special_tokens) ? settled.model_specific_special_tokens : {};
  return { ...settled, model_specific_special_tokens: { ...own, ...explicit } };
}

/** Under a non-standard name, transformers treats an object as a token only if its `__type` states this. */
function isToken(value: unknown): boolean {
  return tokenText(value) !== undefined && (!isObject(value) || value.__type === "AddedToken");
}

/** Converts added_tokens.json, a map of texts to ids, to the form of `added_tokens_decoder`, under `added_tokens`. */
function decoderOf(addedTokens: Json, config: Json, dir: string): Json {
  const named = [...STANDARD_NAMES.map((name) => config[name]), ...extraTokens(config)];
  const special = new Set(named.map(tokenText));
  return Object.fromEntries(
    Object.entries(addedTokens).map(([content, id]) => {
      if (!Number.isInteger(id))
        throw new AppError(
          "checkpoint_invalid",
          `added_tokens.json in ${dir} should map texts to ids, found ${quote(id)} for ${quote(content)}.`,
        );
      return [String(id), { content, special: special.has(content), normalized: !special.has(content) }];
    }),
  );
}

function extraTokens(config: Json): readonly unknown[] {
  return Array.isArray(config.extra_special_tokens) ? (config.extra_special_tokens as unknown[]) : [];
}

/** Special tokens of a merged configuration under their names, in the order in which transformers adds them. */
export function namedTokens(config: Readonly<Json>): readonly (readonly [name: string, token: unknown])[] {
  const specific = isObject(config.model_specific_special_tokens) ? config.model_specific_special_tokens : {};
  return [...STANDARD_NAMES.map((name) => [name, config[name]] as const), ...Object.entries(specific)].filter(
    ([, token]) => tokenText(token) !== undefined,
  );
}

/** Special tokens of a merged configuration that have no name. */
export function namelessTokens(config: Readonly<Json>): readonly unknown[] {
  return extraTokens(config).filter((token) => tokenText(token) !== undefined);
}
