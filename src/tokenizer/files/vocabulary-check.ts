/** Checks that a model has all tokens of its tokenizer. A missing token fails every request whose text contains it. */
import { readTexts } from "./text-files.ts";
import type { TextSource } from "./text-source.ts";
import { tokenTable } from "./tokenizer-files.ts";

/** Number of tokens that are named. Further tokens are counted. */
const NAMED = 8;

/**
 * A sentence about the tokens beyond the model's vocabulary, by id; null where there are none, or no tokenizer.
 * @param where name of the source in messages. @throws {AppError} where the tokenizer cannot be used
 */
export async function loadVocabularyNotice(
  texts: TextSource,
  where: string,
  vocabSize: number,
): Promise<string | null> {
  if (!texts.has("tokenizer.json")) return null;
  const { tokenizer } = await readTexts(texts, where);
  const beyond = [...tokenTable(tokenizer)].filter(([id]) => id >= vocabSize).sort(([a], [b]) => a - b);
  if (beyond.length === 0) return null;
  const named = beyond.slice(0, NAMED).map(([id, text]) => `${id} ${JSON.stringify(text)}`);
  const more = beyond.length > NAMED ? ` and ${beyond.length - NAMED} more` : "";
  const count = beyond.length === 1 ? "a token" : `${beyond.length} tokens`;
  return `the tokenizer has ${count} beyond the model's vocabulary of ${vocabSize}: ${named.join(", ")}${more}. Text or templates that contain one of them are refused. Use the tokenizer that belongs to the model.`;
}
