/**
 * The tokens that end an answer: all end tokens of config.json and generation_config.json and the tokenizer's own, as
 * in vLLM. Every command uses this file, so that building, serving and evaluation agree.
 */
import { AppError } from "../../errors.ts";
import { readEosTokenIds } from "./generation-config.ts";
import { readTexts } from "./text-files.ts";
import { readJsonText, type TextSource } from "./text-source.ts";
import { tokenText } from "./tokenizer-config.ts";
import { tokenTable, type TokenizerFiles } from "./tokenizer-files.ts";

/** A token that ends an answer, and the places that name it. */
export interface EndToken {
  readonly id: number;
  /** Its text; null where the directory has no tokenizer, or the tokenizer does not have the token. */
  readonly text: string | null;
  readonly from: readonly string[];
}

const CONFIGURATIONS = ["generation_config.json", "config.json"];

export interface EndTokens {
  /** By id. */
  readonly tokens: readonly EndToken[];
  /**
   * The reason why the tokenizer's own end token is missing; null where it is included, or where the tokenizer has
   * none.
   */
  readonly problem: AppError | null;
}

/**
 * The end tokens of a model. Its tokenizer may be absent or unusable, because a base can be built without text.
 * @param where name of the source in messages
 * @param vocabSize of the model; larger ids can never be generated and are left out
 * @throws {AppError} checkpoint_invalid for a configuration that cannot be read
 */
export async function loadEndTokens(texts: TextSource, where: string, vocabSize: number): Promise<EndTokens> {
  const read = texts.has("tokenizer.json") ? await readTexts(texts, where).catch(asProblem) : null;
  const problem = read instanceof AppError ? read : null;
  const tokenizer = read instanceof AppError ? null : (read?.tokenizer ?? null);
  return { tokens: await endTokensOf(texts, where, vocabSize, tokenizer), problem };
}

/** The same, for a tokenizer that is read already; null: the model has none. */
export async function endTokensOf(
  texts: TextSource,
  where: string,
  vocabSize: number,
  tokenizer: TokenizerFiles | null,
): Promise<readonly EndToken[]> {
  const places = new Map<number, string[]>();
  const add = (id: number, place: string): void => {
    if (id < vocabSize) places.set(id, [...(places.get(id) ?? []), place]);
  };
  for (const name of CONFIGURATIONS)
    for (const id of readEosTokenIds((await readJsonText(texts, where, name)) ?? {})) add(id, name);
  const tokenTexts = tokenizer === null ? new Map<number, string>() : tokenTable(tokenizer);
  const own = tokenizer === null ? undefined : tokenText(tokenizer.config.eos_token);
  for (const [id, text] of tokenTexts) if (text === own) add(id, "the tokenizer");
  const tokens = [...places].map(([id, from]) => ({ id, text: tokenTexts.get(id) ?? null, from }));
  return tokens.sort((a, b) => a.id - b.id);
}

function asProblem(error: unknown): AppError {
  if (error instanceof AppError) return error;
  throw error;
}

/** Notice for building and serving a model without end tokens: an answer would always run to its limit. */
export const NOTHING_ENDS =
  "no end token is named in config.json, generation_config.json or the tokenizer, so every answer runs to max_tokens. Add eos_token_id to generation_config.json.";
