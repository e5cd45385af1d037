/**
 * `bad_words` as runs of token ids. Source: vLLM's `SamplingParams.update_from_tokenizer`, which leaves the form after a space out where
 * it has another number of tokens; then the word is still generated in the middle of a text, so here both forms count.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Text } from "../context.ts";
import { invalid } from "../error-response.ts";

/**
 * The ids of each word as the beginning of a text, and after a space where that is written with others.
 * @throws {AppError} invalid_request for a word without tokens.
 */
export async function badWordIds(text: Text, words: readonly string[]): Promise<readonly (readonly number[])[]> {
  const runs: number[][] = [];
  for (const word of new Set(words)) {
    await nextTurn(); // short texts are encoded in this thread, and streams must not wait for hundreds of them
    const trimmed = word.trimStart();
    const plain = [...(await text.encode(trimmed, false))];
    if (plain.length === 0)
      throw invalid(`"bad_words" holds ${JSON.stringify(word)}, which has no tokens.`, "bad_words");
    runs.push(plain);
    const spaced = [...(await text.encode(` ${trimmed}`, false))];
    if (spaced.join() !== plain.join()) runs.push(spaced);
  }
  return runs;
}
