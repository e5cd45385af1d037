/**
 * One step prefills a chunk of one prompt, or decodes a token of every decoding row, and chooses tokens from the
 * logits. A bad sequence never fails its batch. A failed step ends its own sequences, and the engine continues.
 */
import { AppError } from "../../errors.ts";
import { DeviceFullError } from "../../runtime/device-errors.ts";
import { type Chunk, reusablePastAt } from "../chunks.ts";
import type { ModelRunner } from "../contracts.ts";
import { pooledPositions } from "../pooling.ts";
import type { Pooling, SequenceSpec } from "../protocol.ts";
import { type LogitRows, type RowNeed, WHOLE } from "../sampling/logit-rows.ts";
import { promptLogprob } from "../sampling/logprobs.ts";
import { needOf } from "../sampling/sampler.ts";
import type { Plan, Scheduler } from "../scheduling/scheduler.ts";
import type { Sequence } from "../scheduling/sequence.ts";
import { type DraftOutcome, NO_DRAFT, Speculation, type SpeculationPlan } from "./speculation.ts";
import type { Reporter } from "./reporter.ts";
import { IDLE_FACTS, type StepFacts } from "../step-facts.ts";
import { TokenChooser } from "./token-chooser.ts";

/** Longest time that rows without a grammar wait for the masks of others; these then repeat the step. */
const MAX_MASK_DELAY_MS = 2;
/** Longest wait for masks where every row of a step has a grammar. */
const MAX_MASK_WAIT_MS = 2000;
/** Longest wait between steps for the news that answers are complete. */
const MAX_END_WAIT_MS = 1;

type PrefillPlan = Extract<Plan, { phase: "prefill" }>;
type DecodePlan = Extract<Plan, { phase: "decode" }>;

export class Step {
  readonly #runner: ModelRunner;
  readonly #scheduler: Scheduler;
  readonly #reporter: Reporter;
  readonly #chooser: TokenChooser;
  readonly #speculation: Speculation;
  #isDeviceSpoiled = false;

  constructor(runner: ModelRunner, scheduler: Scheduler, reporter: Reporter) {
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#reporter = reporter;
    this.#chooser = new TokenChooser(reporter, runner.vocabSize);
    this.#speculation = new Speculation(runner, scheduler, this.#chooser);
  }

  /**
   * Runs one step. An error in the step ends the step's own sequences.
   * @throws {AppError} engine_unavailable when nothing can run in this process any more: it ends, and a new one takes
   * its place
   */
  async run(plan: Plan | SpeculationPlan): Promise<StepFacts> {
    const startedAt = performance.now();
    const numComputed = plan.phase === "prefill" ? numComputedOf(plan.sequence) : 0;
    const sequences = plan.phase === "decode" ? plan.sequences : [plan.sequence];
    let draft: DraftOutcome = NO_DRAFT;
    try {
      if (plan.phase === "prefill") await this.#prefill(plan);
      else if (plan.phase === "speculate") draft = await this.#speculation.run(plan, needOfNext(plan.sequence));
      else await this.#decode(plan);
    } catch (error) {
      for (const sequence of this.#endedBy(error, sequences)) this.#reporter.fail(sequence, error);
      this.#noteIfSpoiled(error);
    }
    return {
      phase: plan.phase,
      seconds: (performance.now() - startedAt) / 1000,
      rows: sequences.length,
      distinctAdapters: new Set(sequences.flatMap(({ adapter }) => adapter?.generation ?? [])).size,
      promptTokens: plan.phase === "prefill" ? numComputedOf(plan.sequence) - numComputed : 0,
      ...draft,
    };
  }

  /** A decode step is put off while one of its rows has a draft. */
  speculationBefore(plan: Plan): Plan | SpeculationPlan {
    return plan.phase === "decode" ? (this.#speculation.next() ?? plan) : plan;
  }

  /** Ends the decoding sequences whose answer is complete by its grammar, so that no step is run for them. */
  endComplete(): void {
    const endsAt = performance.now() + MAX_END_WAIT_MS;
    for (const id of this.#runner.kv.decodingIds().slice()) {
      const sequence = this.#scheduler.get(id);
      const { grammar } = sequence ?? { grammar: null };
      if (sequence !== null && grammar?.mustEnd(Math.max(0, endsAt - performance.now())) === true)
        this.#reporter.finish(sequence, "stop");
    }
  }

  /**
   * @throws {AppError} engine_unavailable when a device ran out of memory in a way that lasts as long as this process
   */
  assertDeviceUsable(): void {
    if (!this.#isDeviceSpoiled) return;
    throw new AppError("engine_unavailable", "The device's memory was exhausted. The engine is restarted.");
  }

  /**
   * The sequences that end with a failed step: the step's own, or the newest of all when memory ran out, so that the
   * others continue.
   */
  #endedBy(error: unknown, ofStep: readonly Sequence[]): readonly Sequence[] {
    const code = error instanceof AppError ? error.code : null;
    if (code === "engine_unavailable") throw error;
    if (code !== "insufficient_memory") return ofStep;
    const running = [...this.#scheduler.sequences()].filter((sequence) => this.#scheduler.isRunning(sequence));
    return running.sort((a, b) => b.id - a.id).slice(0, 1);
  }

  /**
   * After a first lasting failure the other sequences continue: their steps may never need the buffer that could not be
   * allocated. The process ends when they are done, or with a second failure.
   */
  #noteIfSpoiled(error: unknown): void {
    if (!(error instanceof DeviceFullError) || !error.isLasting) return;
    if (this.#isDeviceSpoiled) this.#reporter.send(IDLE_FACTS);
    this.assertDeviceUsable();
    this.#isDeviceSpoiled = true;
  }

  async #prefill({ sequence }: PrefillPlan): Promise<void> {
    const { spec } = sequence;
    // The prefix is looked up before every chunk, so prompts that arrive together reuse chunks that one of them has
    // just prefilled.
    await this.#restorePrefix(sequence);
    const chunk = sequence.nextChunk();
    if (spec.pooling) return await this.#poolChunk(sequence, chunk, spec.pooling);
    const startedAt = performance.now();
    const positions = wantedPositions(spec, chunk);
    const need = needOfNext(sequence);
    const logits = await this.#runner.prefill({
      id: sequence.id,
      past: chunk.past,
      tokenIds: tokensOf(spec, chunk),
      adapter: sequence.adapter,
      logitPositions: positions,
      need: spec.numPromptLogprobs === null ? need : WHOLE,
    });
    await this.#keepPrefix(spec, chunk);
    this.#scheduler.notePrefilled(sequence, chunk, (performance.now() - startedAt) / 1000);
    if (spec.numPromptLogprobs !== null) await this.#scorePrompt(sequence, chunk, logits, spec.numPromptLogprobs);
    if (!chunk.isLast) return;
    sequence.markPrefilled(performance.now());
    this.#reporter.report.prefilled.push({ id: sequence.id, numCached: sequence.numCached });
    if (spec.maxTokens === 0) return this.#reporter.finish(sequence, "length");
    const ofLast = <T>(value: T): (T | null)[] =>
      positions.map((_, row) => (row === positions.length - 1 ? value : null));
    await this.#sample(ofLast(sequence), ofLast(need), logits);
    // A sequence that ended with its first token does not need its row moved.
    if (this.#scheduler.get(sequence.id) !== null) this.#scheduler.startDecoding(sequence);
  }

  /** Prefills a chunk of a prompt whose hidden states are pooled. The prompt's last chunk ends the sequence. */
  async #poolChunk(sequence: Sequence, chunk: Chunk, pooling: Pooling): Promise<void> {
    const { spec, id, adapter } = sequence;
    const hiddenPositions = pooledPositions(pooling, chunk);
    const startedAt = performance.now();
    const step = { id, past: chunk.past, tokenIds: tokensOf(spec, chunk), adapter, hiddenPositions };
    sequence.pool.add(await this.#runner.prefillHidden(step), hiddenPositions.length);
    await this.#keepPrefix(spec, chunk);
    this.#scheduler.notePrefilled(sequence, chunk, (performance.now() - startedAt) / 1000);
    if (!chunk.isLast) return;
    sequence.markPrefilled(performance.now());
    this.#reporter.report.prefilled.push({ id, numCached: sequence.numCached });
    this.#reporter.report.pooled.push({ id, values: sequence.pool.mean() });
    this.#reporter.finish(sequence, "stop");
  }

  async #restorePrefix(sequence: Sequence): Promise<void> {
    const { prefixes } = this.#runner;
    if (prefixes === null) return;
    const length = await prefixes.restore(sequence.spec, sequence.numPrefilled);
    sequence.numCached += length - sequence.numPrefilled;
    sequence.numPrefilled = length;
  }

  async #keepPrefix(spec: SequenceSpec, chunk: Chunk): Promise<void> {
    const past = reusablePastAt(chunk);
    if (past !== null) await this.#runner.prefixes?.keep(spec, past);
  }

  /** Row j of the logits belongs to position past + j, which predicts the token after it. */
  async #scorePrompt(sequence: Sequence, chunk: Chunk, logits: LogitRows, numTop: number): Promise<void> {
    const { promptIds } = sequence.spec;
    // The last prompt token has no successor.
    const targets = promptIds.subarray(chunk.past + 1, chunk.past + 1 + chunk.length);
    const needs = Array.from({ length: logits.numRows }, (_, j) => (j < targets.length ? WHOLE : null));
    const rows = await logits.read(needs);
    for (const [j, target] of targets.entries())
      sequence.promptLogprobs.push(promptLogprob(rows[j]!, target, numTop, this.#chooser.scratch)); // a row a target
    if (chunk.isLast) this.#reporter.report.scored.push({ id: sequence.id, logprobs: sequence.promptLogprobs });
  }

  async #decode({ sequences }: DecodePlan): Promise<void> {
    const needs = sequences.map(needOfNext);
    const rows = sequences.map((sequence, row) => ({
      id: sequence.id,
      tokenId: sequence.lastTokenId,
      past: sequence.numCachedTokens,
      adapter: sequence.adapter,
      need: needs[row]!, // one a sequence
    }));
    // Noted before the step, so that prompts make progress even if decode steps keep failing.
    this.#scheduler.noteDecoded();
    const startedAt = performance.now();
    await this.#sample(sequences, needs, await this.#runner.decode(rows));
    this.#scheduler.noteDecodeTime((performance.now() - startedAt) / 1000);
  }

  /**
   * Chooses the next token of every sequence from its row. It reads only the part of the row that it needs. null: a row
   * without a sequence.
   */
  async #sample(
    sequences: readonly (Sequence | null)[],
    needs: readonly (RowNeed | null)[],
    logits: LogitRows,
  ): Promise<void> {
    const rows = await logits.read(needs);
    const isFree = sequences.some((sequence) => sequence !== null && sequence.grammar === null);
    this.#chooser.startWait(isFree ? MAX_MASK_DELAY_MS : MAX_MASK_WAIT_MS);
    const isShort = rows.map((row, i) => row !== null && !this.#chooser.tryChoose(sequences[i]!, row)); // as many
    if (!isShort.includes(true)) return;
    const whole = await logits.read(isShort.map((short) => (short ? WHOLE : null)));
    for (const [i, row] of whole.entries()) if (row !== null) this.#chooser.tryChoose(sequences[i]!, row);
  }
}

/** Prompt tokens that were prefilled rather than reused. */
function numComputedOf({ numPrefilled, numCached }: Sequence): number {
  return numPrefilled - numCached;
}

const tokensOf = ({ promptIds }: SequenceSpec, { past, length }: Chunk): Int32Array =>
  promptIds.subarray(past, past + length);

const needOfNext = (sequence: Sequence): RowNeed =>
  sequence.grammar === null ? needOf(sequence.sampling, sequence.maskedIds(), sequence.spec.numLogprobs) : WHOLE;

/**
 * Only positions whose logits are used are projected to the vocabulary: every position of a scored chunk, otherwise the
 * prompt's last.
 */
function wantedPositions(spec: SequenceSpec, chunk: Chunk): number[] {
  if (spec.numPromptLogprobs !== null) {
    const isLastUsed = !chunk.isLast || spec.maxTokens > 0;
    return Array.from({ length: isLastUsed ? chunk.length : chunk.length - 1 }, (_, position) => position);
  }
  return chunk.isLast && spec.maxTokens > 0 ? [chunk.length - 1] : [];
}
