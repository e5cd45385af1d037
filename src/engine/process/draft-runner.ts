/**
 * The draft model: a second, smaller model in the engine's process. It guesses how an answer continues, one token after
 * another, and the model that answers then checks all guesses in one run (`speculation.ts`). It serves no adapter: the
 * check includes the tenant's adapter.
 *
 * Each sequence has a row of its own, and each run is of one row. The guesses, and how the text was divided into runs,
 * depend on the sequence alone. Its answer therefore has the same bits in every batch.
 */
import { CHUNK_TOKENS } from "../chunks.ts";
import type { AnswerText, DraftModel, ModelRunner, Prompt } from "../contracts.ts";
import type { DraftBytes } from "../protocol.ts";
import { WHOLE } from "../sampling/logit-rows.ts";
import { chooseToken, createSamplerScratch, needOf, type SamplerScratch } from "../sampling/sampler.ts";
import { copyState, recordToken, type SamplingState } from "../sampling/sampling-state.ts";

/** The keys and values of one sequence. */
interface Row {
  /** Tokens of the text in the row. */
  length: number;
  /** The guesses in the row after them. */
  guesses: readonly number[];
}

export interface DraftParts {
  /** Closed with the draft model. */
  readonly runner: ModelRunner;
  readonly guessCost: number;
  readonly bytes: DraftBytes;
  /** Vocabulary of the model that answers. Greater ids are not guessed. */
  readonly answerVocabSize: number;
}

export class DraftRunner implements DraftModel {
  readonly guessCost: number;
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly bytes: DraftBytes;
  readonly #runner: ModelRunner;
  readonly #answerVocabSize: number;
  readonly #rows = new Map<number, Row>();
  readonly #scratch: SamplerScratch;

  constructor({ runner, guessCost, bytes, answerVocabSize }: DraftParts) {
    this.guessCost = guessCost;
    this.bytes = bytes;
    this.maxModelLen = runner.maxModelLen;
    this.vocabSize = runner.vocabSize;
    this.#runner = runner;
    this.#answerVocabSize = answerVocabSize;
    this.#scratch = createSamplerScratch(runner.vocabSize);
  }

  async guess(text: AnswerText, count: number): Promise<readonly number[] | null> {
    const row = this.#rowOf(text);
    keepRightGuesses(row, text);
    if (text.numTokens - row.length > CHUNK_TOKENS) {
      await this.#readChunk(text, row);
      return null;
    }
    const state = copyState(text.sampling);
    const guesses: number[] = [];
    let numRun = 0; // guesses in the row
    let input = tokensOf(text, row.length, text.numTokens);
    for (;;) {
      const past = text.numTokens + numRun - input.length;
      const id = await this.#next(text, state, { past, input, at: guesses.length });
      if (id >= this.#answerVocabSize) break;
      guesses.push(id);
      if (guesses.length === count || text.spec.stopIds.includes(id)) break;
      recordToken(state, id);
      input = Int32Array.of(id);
      numRun++;
    }
    row.length = text.numTokens;
    row.guesses = guesses.slice(0, numRun);
    return guesses;
  }

  release(id: number): void {
    if (this.#rows.delete(id)) this.#runner.kv.release(id);
  }

  close(): Promise<void> {
    return this.#runner.close();
  }

  /** Rows fit whenever the rows of the answering model do (`open-draft.ts`). */
  #rowOf({ spec }: AnswerText): Row {
    const known = this.#rows.get(spec.id);
    if (known !== undefined) return known;
    const numTokens = Math.min(spec.promptIds.length + spec.maxTokens, this.maxModelLen);
    this.#runner.kv.admit(spec.id, numTokens, spec.promptIds.length);
    const row: Row = { length: 0, guesses: [] };
    this.#rows.set(spec.id, row);
    return row;
  }

  /** Reads a chunk of the text. Chunks of the prompt may come from the prefix cache. */
  async #readChunk(text: AnswerText, row: Row): Promise<void> {
    const { prefixes } = this.#runner;
    const prompt: Prompt = { ...text.spec, adapter: null };
    const numPrompt = prompt.promptIds.length;
    if (row.length < numPrompt && prefixes !== null) {
      const known = await prefixes.restore(prompt, row.length);
      const hasAdvanced = known > row.length;
      row.length = known;
      if (hasAdvanced) return;
    }
    const past = row.length;
    const tokenIds = tokensOf(text, past, past + CHUNK_TOKENS);
    await this.#runner.prefill({ id: prompt.id, past, tokenIds, adapter: null, logitPositions: [] });
    row.length += CHUNK_TOKENS;
    if (row.length <= numPrompt) await prefixes?.keep(prompt, past);
  }

  /** Runs `input` after `past` tokens. @param at number of guesses before. @returns the token that is guessed next */
  async #next(
    text: AnswerText,
    state: SamplingState,
    { past, input, at }: { readonly past: number; readonly input: Int32Array; readonly at: number },
  ): Promise<number> {
    const maskedIds = text.maskedIds(text.numTokens - text.spec.promptIds.length + at);
    const need = needOf(state, maskedIds, null);
    const logits = await this.#runner.prefill({
      id: text.spec.id,
      past,
      tokenIds: input,
      adapter: null,
      logitPositions: [input.length - 1],
      need,
    });
    for (const part of [need, WHOLE]) {
      const [row] = await logits.read([part]);
      const id = row ? chooseToken(row, state, maskedIds, this.#scratch) : null;
      if (id !== null) return id;
    }
    throw new Error("internal: no token can be chosen from a whole row");
  }
}

/** Counts the guesses that were right as text. The others are overwritten by the next run. */
function keepRightGuesses(row: Row, text: AnswerText): void {
  // The last token is read again at least: its logits are needed.
  const numKnown = text.numTokens - 1;
  let numRight = 0;
  while (row.length + numRight < numKnown && row.guesses[numRight] === text.tokenAt(row.length + numRight)) numRight++;
  row.length = Math.min(row.length + numRight, numKnown);
  row.guesses = [];
}

const tokensOf = (text: AnswerText, from: number, to: number): Int32Array =>
  Int32Array.from({ length: to - from }, (_, i) => text.tokenAt(from + i));
