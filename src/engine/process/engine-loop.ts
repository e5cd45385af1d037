/**
 * The engine's loop: drain commands → admit → plan → run → sample → one report. Owns the sequences and nothing native.
 * Between two steps it yields to the event loop, so a cancellation takes effect within one step; without work it sleeps.
 * A bad sequence never fails its batch, a failed step ends its own sequences and the engine goes on. No text, no HTTP.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError } from "../../errors.ts";
import { DeviceFullError } from "../../runtime/device-errors.ts";
import { type LogitRow, type LogitRows, type RowNeed, WHOLE } from "../sampling/logit-rows.ts";
import { promptLogprob, tokenLogprob } from "../sampling/logprobs.ts";
import type { EngineCommand, EngineEvent, FinishReason, SequenceSpec } from "../protocol.ts";
import type { ModelRunner, ReadyAdapter } from "../contracts.ts";
import { chooseToken, needOf, createSamplerScratch, type SamplerScratch } from "../sampling/sampler.ts";
import { type Plan, Scheduler, type SchedulerLimits } from "../scheduling/scheduler.ts";
import { type Chunk, CHUNK_TOKENS } from "../chunks.ts";
import { Sequence } from "../scheduling/sequence.ts";
import { checkSpec } from "../sequence-spec.ts";
import { IDLE_FACTS, type StepFacts, StepReport } from "./step-report.ts";

type PrefillPlan = Extract<Plan, { phase: "prefill" }>;
type DecodePlan = Extract<Plan, { phase: "decode" }>;

export class EngineLoop {
  readonly #runner: ModelRunner;
  readonly #scheduler: Scheduler;
  readonly #send: (event: EngineEvent) => void;
  readonly #scratch: SamplerScratch;
  #commands: EngineCommand[] = [];
  #wake: (() => void) | null = null;
  #report = new StepReport();
  /** Something changed since the last report. */
  #isDirty = false;
  #isStopped = false;
  /** A device's memory was used up in a way that lasts as long as this process. */
  #isDeviceSpoiled = false;
  #areTurnsNeeded = false;
  #isTurnRequested = false;
  #hasTurn = false;

  constructor(runner: ModelRunner, limits: SchedulerLimits, send: (event: EngineEvent) => void) {
    this.#runner = runner;
    this.#scheduler = new Scheduler(limits, runner.kv);
    this.#send = send;
    this.#scratch = createSamplerScratch(runner.vocabSize);
    runner.adapters?.onReady(() => {
      this.#isDirty = true; // the metrics, and the server's record of what is ready, follow also when nothing runs
      this.#wake?.();
    });
  }

  /** Queues a command; it takes effect before the next step. */
  handle(command: EngineCommand): void {
    this.#commands.push(command);
    this.#wake?.();
  }

  /**
   * Runs until `engine-stopped`; sequences that are still here then end with engine_unavailable.
   * @throws {AppError} engine_unavailable where the device is lost or spoiled: the process ends, and another takes its place
   */
  async run(): Promise<void> {
    for (;;) {
      this.#drainCommands();
      if (this.#isStopped) break;
      const plan = this.#scheduler.plan();
      if (this.#report.isUrgent) this.#sendReport(IDLE_FACTS); // a step may take long
      if (plan === null) {
        this.#endTurn();
        this.#reportIfDirty();
        if (this.#isDeviceSpoiled && this.#scheduler.isIdle) throw spoiled();
        await this.#nextCommand();
      } else if (this.#areTurnsNeeded && !this.#hasTurn) {
        this.#requestTurn();
        await this.#nextCommand();
      } else {
        this.#sendReport(await this.#step(plan));
        this.#endTurn();
        await nextTurn();
      }
    }
    for (const sequence of this.#scheduler.sequences())
      this.#fail(sequence, new AppError("engine_unavailable", "The server is stopping; try again later."));
    this.#reportIfDirty();
  }

  #nextCommand(): Promise<void> {
    if (this.#commands.length > 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null;
        resolve();
      };
    });
  }

  #drainCommands(): void {
    const commands = this.#commands;
    this.#commands = [];
    for (const command of commands) this.#obey(command);
    this.#admit(); // rows may have become free in the last step
  }

  #obey(command: EngineCommand): void {
    switch (command.type) {
      case "engine-started":
        throw new Error("internal: the engine has started already");
      case "sequence-added":
        return this.#add(command.sequence);
      case "sequence-cancelled": {
        const sequence = this.#scheduler.get(command.id); // null: it has ended meanwhile
        if (sequence !== null) this.#remove(sequence);
        return;
      }
      case "adapter-dropped":
        // The cache has become smaller, which the metrics show even when nothing runs.
        if (this.#runner.adapters?.drop(command.generation) === true) this.#isDirty = true;
        this.#runner.prefixes?.drop(command.generation);
        return;
      case "turns-changed":
        this.#areTurnsNeeded = command.areTurnsNeeded;
        this.#isTurnRequested = false;
        this.#hasTurn = false;
        // Says that no step is running now: from here on each one waits for its turn.
        if (command.areTurnsNeeded) this.#send({ type: "turn-ended" });
        return;
      case "turn-granted":
        this.#hasTurn = true;
        this.#isTurnRequested = false;
        return;
      case "engine-stopped":
        this.#isStopped = true;
    }
  }

  #add(spec: SequenceSpec): void {
    this.#isDirty = true;
    try {
      checkSpec(spec, this.#runner);
      const now = performance.now();
      const displaced = this.#scheduler.add(new Sequence(spec, now), now);
      this.#report.added.push(spec.id);
      for (const sequence of displaced) this.#fail(sequence, this.#scheduler.overloaded(now));
    } catch (error) {
      this.#report.fail(spec.id, error);
    }
    this.#admit();
  }

  #admit(): void {
    this.#dropOverdue(); // before they are given a row
    let failure: unknown = null;
    const isReady = (sequence: Sequence): boolean => {
      try {
        sequence.adapter = this.#adapterOf(sequence);
        return sequence.adapter !== null || sequence.spec.adapter === null;
      } catch (error) {
        failure = error;
        return true;
      }
    };
    for (let next = this.#scheduler.takeAdmissible(isReady); next; next = this.#scheduler.takeAdmissible(isReady)) {
      this.#isDirty = true;
      try {
        if (failure !== null) throw failure;
        const now = performance.now();
        next.numKnown = this.#runner.prefixes?.numKnown(next.spec) ?? 0;
        this.#scheduler.start(next, now);
        next.markAdmitted(now);
        this.#report.admitted.push(next.id);
      } catch (error) {
        this.#fail(next, error);
      }
      failure = null;
    }
    const ahead = this.#scheduler.peekWaiting()?.spec.adapter;
    if (ahead) this.#runner.adapters?.prepare(ahead);
  }

  #adapterOf({ spec }: Sequence): ReadyAdapter | null {
    if (spec.adapter === null) return null;
    const { adapters } = this.#runner;
    if (adapters === null) throw new Error("internal: a merged engine was asked for an adapter");
    return adapters.get(spec.adapter);
  }

  #dropOverdue(): void {
    for (const sequence of this.#scheduler.overdue(Date.now()))
      this.#fail(
        sequence,
        new AppError(
          "deadline_exceeded",
          this.#scheduler.isRunning(sequence)
            ? "The deadline passed before the answer was complete."
            : "The deadline would have passed before the answer was complete: the server is busy.",
        ),
      );
  }

  /**
   * What ends with a step that failed: its own sequences, or the newest of all where memory ran out, so that the others go on.
   * @throws the error itself where nothing can run here any more: the process ends, and another takes its place
   */
  #endedBy(error: unknown, ofStep: readonly Sequence[]): readonly Sequence[] {
    const code = error instanceof AppError ? error.code : null;
    if (code === "engine_unavailable") throw error;
    if (code !== "insufficient_memory") return ofStep;
    const running = [...this.#scheduler.sequences()].filter((sequence) => this.#scheduler.isRunning(sequence));
    return running.sort((a, b) => b.id - a.id).slice(0, 1);
  }

  /**
   * The others go on after a first failure that lasts, for their steps may never need the buffer that could not be had; the process ends when they
   * are done, or with a second one.
   */
  #noteIfSpoiled(error: unknown): void {
    if (!(error instanceof DeviceFullError) || !error.isLasting) return;
    if (this.#isDeviceSpoiled) {
      this.#sendReport(IDLE_FACTS);
      throw spoiled();
    }
    this.#isDeviceSpoiled = true;
  }

  /** Runs one step. What goes wrong in it ends its own sequences. */
  async #step(plan: Plan): Promise<StepFacts> {
    const startedAt = performance.now();
    const numComputed = plan.phase === "prefill" ? numComputedOf(plan.sequence) : 0;
    const sequences = plan.phase === "prefill" ? [plan.sequence] : plan.sequences;
    try {
      if (plan.phase === "prefill") await this.#prefill(plan);
      else await this.#decode(plan);
    } catch (error) {
      for (const sequence of this.#endedBy(error, sequences)) this.#fail(sequence, error);
      this.#noteIfSpoiled(error);
    }
    return {
      phase: plan.phase,
      seconds: (performance.now() - startedAt) / 1000,
      rows: sequences.length,
      distinctAdapters: new Set(sequences.flatMap(({ adapter }) => adapter?.generation ?? [])).size,
      promptTokens: plan.phase === "prefill" ? numComputedOf(plan.sequence) - numComputed : 0,
    };
  }

  async #prefill({ sequence }: PrefillPlan): Promise<void> {
    const { spec } = sequence;
    // Looked up before every chunk: prompts that come together take over from each other what one of them has just prefilled.
    await this.#restorePrefix(sequence);
    const chunk = sequence.nextChunk();
    const startedAt = performance.now();
    const positions = wantedPositions(spec, chunk);
    const need = needOfNext(sequence);
    const logits = await this.#runner.prefill({
      id: sequence.id,
      past: chunk.past,
      tokenIds: spec.promptIds.subarray(chunk.past, chunk.past + chunk.length),
      adapter: sequence.adapter,
      logitPositions: positions,
      need: spec.numPromptLogprobs === null ? need : WHOLE,
    });
    if (chunk.length === CHUNK_TOKENS) await this.#runner.prefixes?.keep(spec, chunk.past);
    this.#scheduler.notePrefilled(sequence, chunk, (performance.now() - startedAt) / 1000);
    if (spec.numPromptLogprobs !== null) await this.#scorePrompt(sequence, chunk, logits, spec.numPromptLogprobs);
    if (!chunk.isLast) return;
    sequence.markPrefilled(performance.now());
    this.#report.prefilled.push({ id: sequence.id, numCached: sequence.numCached });
    if (spec.maxTokens === 0) return this.#finish(sequence, "length");
    const ofLast = <T>(value: T): (T | null)[] =>
      positions.map((_, row) => (row === positions.length - 1 ? value : null));
    await this.#sample(ofLast(sequence), ofLast(need), logits);
    // One that ended with its first token need not have its row moved.
    if (this.#scheduler.get(sequence.id) !== null) this.#scheduler.startDecoding(sequence);
  }

  async #restorePrefix(sequence: Sequence): Promise<void> {
    const { prefixes } = this.#runner;
    if (prefixes === null) return;
    const length = await prefixes.restore(sequence.spec, sequence.numPrefilled);
    sequence.numCached += length - sequence.numPrefilled;
    sequence.numPrefilled = length;
  }

  /** Row j of the logits is position past + j, which predicts the token after it. */
  async #scorePrompt(sequence: Sequence, chunk: Chunk, logits: LogitRows, numTop: number): Promise<void> {
    const { promptIds } = sequence.spec;
    const targets = promptIds.subarray(chunk.past + 1, chunk.past + 1 + chunk.length); // none behind the last prompt token
    const needs = Array.from({ length: logits.numRows }, (_, j) => (j < targets.length ? WHOLE : null));
    const rows = await logits.read(needs);
    for (const [j, target] of targets.entries())
      sequence.promptLogprobs.push(promptLogprob(rows[j]!, target, numTop, this.#scratch)); // a row a target
    if (chunk.isLast) this.#report.scored.push({ id: sequence.id, logprobs: sequence.promptLogprobs });
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
    // Noted before, so that a step that keeps failing does not hold up the prompts either.
    this.#scheduler.noteDecoded();
    const startedAt = performance.now();
    await this.#sample(sequences, needs, await this.#runner.decode(rows));
    this.#scheduler.noteDecodeTime((performance.now() - startedAt) / 1000);
  }

  /** Chooses the next token of every sequence from its row, of which it needs so much; null: a row of nobody's. */
  async #sample(
    sequences: readonly (Sequence | null)[],
    needs: readonly (RowNeed | null)[],
    logits: LogitRows,
  ): Promise<void> {
    const rows = await logits.read(needs);
    const isShort = rows.map((row, i) => row !== null && !this.#sampleOne(sequences[i]!, row)); // as many
    if (!isShort.includes(true)) return;
    const whole = await logits.read(isShort.map((short) => (short ? WHOLE : null)));
    for (const [i, row] of whole.entries()) if (row !== null) this.#sampleOne(sequences[i]!, row);
  }

  /** Chooses a sequence's next token. @returns false where its row is not enough of it */
  #sampleOne(sequence: Sequence, row: LogitRow): boolean {
    const { id, spec } = sequence;
    try {
      const tokenId = chooseToken(row, sequence.sampling, sequence.maskedIds(), this.#scratch);
      if (tokenId === null) return false;
      const { numLogprobs } = spec;
      const logprob = numLogprobs === null ? null : tokenLogprob(row, tokenId, numLogprobs, this.#scratch);
      this.#report.sampled.push({ id, tokenId, logprob });
      const reason = sequence.append(tokenId);
      if (reason !== null) this.#finish(sequence, reason);
    } catch (error) {
      this.#fail(sequence, error);
    }
    return true;
  }

  #finish(sequence: Sequence, reason: FinishReason): void {
    const finished = sequence.finished(reason, performance.now());
    this.#report.finished.push(finished);
    this.#scheduler.noteFinished(sequence, finished);
    this.#remove(sequence);
  }

  #fail(sequence: Sequence, error: unknown): void {
    if (this.#scheduler.get(sequence.id) === null) return; // it ended within this step, before something else went wrong
    this.#report.fail(sequence.id, error);
    this.#remove(sequence);
  }

  #remove(sequence: Sequence): void {
    this.#isDirty = true;
    this.#scheduler.remove(sequence);
  }

  #requestTurn(): void {
    if (this.#isTurnRequested) return;
    this.#isTurnRequested = true;
    this.#send({ type: "turn-requested" });
  }

  #endTurn(): void {
    if (!this.#hasTurn) return;
    this.#hasTurn = false;
    this.#send({ type: "turn-ended" });
  }

  #reportIfDirty(): void {
    if (this.#isDirty) this.#sendReport(IDLE_FACTS);
  }

  #sendReport(facts: StepFacts): void {
    const report = this.#report;
    this.#report = new StepReport();
    this.#isDirty = false;
    this.#send(report.toEvent(facts, this.#scheduler, this.#runner));
  }
}

/** Prompt tokens that were prefilled, not taken over. */
function numComputedOf({ numPrefilled, numCached }: Sequence): number {
  return numPrefilled - numCached;
}

const needOfNext = (sequence: Sequence): RowNeed =>
  needOf(sequence.sampling, sequence.maskedIds(), sequence.spec.numLogprobs);

/** Only positions whose logits are used are projected to the vocabulary: all of a scored chunk, else the last of the prompt. */
function wantedPositions(spec: SequenceSpec, chunk: Chunk): number[] {
  if (spec.numPromptLogprobs !== null) {
    const isLastUsed = !chunk.isLast || spec.maxTokens > 0;
    return Array.from({ length: isLastUsed ? chunk.length : chunk.length - 1 }, (_, position) => position);
  }
  return chunk.isLast && spec.maxTokens > 0 ? [chunk.length - 1] : [];
}

function spoiled(): AppError {
  return new AppError("engine_unavailable", "The device's memory was used up; another engine is started on it.");
}
