/**
 * Writes events of sequences into the next report. It also ends sequences, which then leave the scheduler and free
 * their row. It does not know how steps are run.
 */
import type { ModelRunner } from "../contracts.ts";
import type { EngineEvent, FinishReason } from "../protocol.ts";
import type { Scheduler } from "../scheduling/scheduler.ts";
import type { Sequence } from "../scheduling/sequence.ts";
import { IDLE_FACTS, type StepFacts } from "../step-facts.ts";
import { StepReport } from "./step-report.ts";

export class Reporter {
  readonly #runner: ModelRunner;
  readonly #scheduler: Scheduler;
  readonly #send: (event: EngineEvent) => void;
  #report = new StepReport();
  /** Whether something changed since the last report. */
  #isDirty = false;

  constructor(runner: ModelRunner, scheduler: Scheduler, send: (event: EngineEvent) => void) {
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#send = send;
  }

  /** The report that will be sent next. */
  get report(): StepReport {
    return this.#report;
  }

  /** Marks the next report as worth sending although no step runs. */
  noteChange(): void {
    this.#isDirty = true;
  }

  finish(sequence: Sequence, reason: FinishReason): void {
    const finished = sequence.finished(reason, performance.now());
    this.#report.finished.push(finished);
    this.#scheduler.noteFinished(sequence, finished);
    this.remove(sequence);
  }

  fail(sequence: Sequence, error: unknown): void {
    if (this.#scheduler.get(sequence.id) === null) return; // it ended in this step, before another fault
    this.#report.fail(sequence.id, error);
    this.remove(sequence);
  }

  /** Ends a sequence without a report, because its reader has gone. */
  remove(sequence: Sequence): void {
    this.#isDirty = true;
    this.#scheduler.remove(sequence);
    this.#runner.draftModel?.release(sequence.id);
    if (sequence.spec.grammar) this.#runner.grammars?.release(sequence.id);
  }

  /** Sends pending news of sequences before a step that may take long. */
  sendIfUrgent(): void {
    if (this.#report.isUrgent) this.send(IDLE_FACTS);
  }

  sendIfChanged(): void {
    if (this.#isDirty) this.send(IDLE_FACTS);
  }

  send(facts: StepFacts): void {
    const report = this.#report;
    this.#report = new StepReport();
    this.#isDirty = false;
    this.#send(report.toEvent(facts, this.#scheduler, this.#runner));
  }
}
