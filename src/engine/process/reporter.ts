/**
 * What happens to sequences, written into the report that is sent next, and the end of those that end: they leave the scheduler, and with it
 * their row. Knows nothing of how steps are run.
 */
import type { ModelRunner } from "../contracts.ts";
import type { EngineEvent, FinishReason } from "../protocol.ts";
import type { Scheduler } from "../scheduling/scheduler.ts";
import type { Sequence } from "../scheduling/sequence.ts";
import { IDLE_FACTS, type StepFacts, StepReport } from "./step-report.ts";

export class Reporter {
  readonly #runner: ModelRunner;
  readonly #scheduler: Scheduler;
  readonly #send: (event: EngineEvent) => void;
  #report = new StepReport();
  /** Something changed since the last report. */
  #isDirty = false;

  constructor(runner: ModelRunner, scheduler: Scheduler, send: (event: EngineEvent) => void) {
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#send = send;
  }

  /** The report that is sent next. */
  get report(): StepReport {
    return this.#report;
  }

  /** The next report is worth sending although no step runs. */
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
    if (this.#scheduler.get(sequence.id) === null) return; // it ended within this step, before something else went wrong
    this.#report.fail(sequence.id, error);
    this.remove(sequence);
  }

  /** Ends a sequence about which nobody wants to hear more. */
  remove(sequence: Sequence): void {
    this.#isDirty = true;
    this.#scheduler.remove(sequence);
  }

  /** Sends what somebody waits to hear, before a step that may take long. */
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
