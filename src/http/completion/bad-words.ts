/**
 * Converts `bad_words` to lists of token ids. Source: vLLM's `SamplingParams.update_from_tokenizer`. vLLM omits the
 * form after a space if it has another number of tokens. The word can then still be generated in the middle of a text.
 * Here, both forms are therefore excluded.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { quote } from "../../errors.ts";
import type { Text } from "../context.ts";
import { invalid } from "../error-response.ts";

/**
 * The ids of each word at the beginning of a text, and after a space where those ids differ.
 * @throws {AppError} invalid_request for a word without tokens.
 */
export async function badWordIds(text: Text, words: readonly string[]): Promise<readonly (readonly number[])[]> {
  const runs: number[][] = [];
  for (const word of new Set(words)) {
    await nextTurn(); // short texts are encoded in this thread, and streams must not wait for hundreds of them
    const trimmed = word.trimStart();
    const plain = [...(await text.encode(trimmed, false))];
    if (plain.length === 0) throw invalid(`"bad_words" contains ${quote(word)}, which has no tokens.`, "bad_words");
    runs.push(plain);
    const spaced = [...(await text.encode(` ${trimmed}`, false))];
    if (spaced.join() !== plain.join()) runs.push(spaced);
  }
  return runs;
}
