/**
 * Admission of sequences. A sequence is queued. It gets a row when a row is free and its adapter and grammar are ready,
 * and is dropped if it cannot meet its deadline. The scheduler decides whose turn it is and whether the sequence fits.
 */
import { AppError } from "../../errors.ts";
import type { BoundGrammar, ModelRunner, ReadyAdapter } from "../contracts.ts";
import type { SequenceSpec } from "../protocol.ts";
import type { Scheduler } from "../scheduling/scheduler.ts";
import { type DraftSettings, Sequence } from "../scheduling/sequence.ts";
import { checkSpec } from "../sequence-spec.ts";
import type { Reporter } from "./reporter.ts";

export class Admission {
  readonly #runner: ModelRunner;
  readonly #scheduler: Scheduler;
  readonly #reporter: Reporter;
  readonly #drafts: DraftSettings;

  constructor(runner: ModelRunner, scheduler: Scheduler, reporter: Reporter, maxDraft = 0) {
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#reporter = reporter;
    this.#drafts = { maxDraft, model: runner.draftModel ?? null };
  }

  /** Accepts a sequence. A sequence that cannot be accepted is reported as failed. */
  add(spec: SequenceSpec): void {
    this.#reporter.noteChange();
    const { report } = this.#reporter;
    try {
      checkSpec(spec, this.#runner);
      const now = performance.now();
      const displaced = this.#scheduler.add(new Sequence(spec, now, this.#drafts), now);
      report.added.push(spec.id);
      for (const sequence of displaced) this.#reporter.fail(sequence, this.#scheduler.overloaded(now));
    } catch (error) {
      report.fail(spec.id, error);
    }
    this.admit();
  }

  /** Gives a row to every sequence that can have one now. */
  admit(): void {
    this.#dropOverdue(); // before they get a row
    let failure: unknown = null;
    const isReady = (sequence: Sequence): boolean => {
      try {
        sequence.adapter = this.#adapterOf(sequence);
        // Requested together with the adapter, so that neither waits for the other.
        sequence.grammar = this.#grammarOf(sequence.spec);
        const hasAdapter = sequence.adapter !== null || sequence.spec.adapter === null;
        if (!hasAdapter) sequence.markAdapterWait(performance.now());
        return hasAdapter && (sequence.grammar !== null || !sequence.spec.grammar);
      } catch (error) {
        failure = error;
        return true;
      }
    };
    for (let next = this.#scheduler.takeAdmissible(isReady); next; next = this.#scheduler.takeAdmissible(isReady)) {
      this.#start(next, failure);
      failure = null;
    }
    const ahead = this.#scheduler.peekWaiting()?.spec;
    if (ahead?.adapter) this.#runner.adapters?.prepare(ahead.adapter);
  }

  /** @param failure why the adapter cannot be loaded; null where it can */
  #start(sequence: Sequence, failure: unknown): void {
    this.#reporter.noteChange();
    try {
      if (failure !== null) throw failure;
      const now = performance.now();
      sequence.numKnown = this.#runner.prefixes?.numKnown(sequence.spec) ?? 0;
      this.#scheduler.start(sequence, now);
      sequence.markAdmitted(now);
      this.#reporter.report.admitted.push(sequence.id);
    } catch (error) {
      this.#reporter.fail(sequence, error);
    }
  }

  #adapterOf({ spec }: Sequence): ReadyAdapter | null {
    if (spec.adapter === null) return null;
    const { adapters } = this.#runner;
    if (adapters === null) throw new Error("internal: a merged engine was asked for an adapter");
    return adapters.get(spec.adapter);
  }

  #grammarOf({ id, grammar, promptIds }: SequenceSpec): BoundGrammar | null {
    if (!grammar) return null;
    const { grammars } = this.#runner;
    if (!grammars) throw new AppError("unsupported_parameter", "This engine cannot bind answers to grammars.");
    return grammars.bind(id, grammar, promptIds);
  }

  #dropOverdue(): void {
    for (const sequence of this.#scheduler.overdue(Date.now())) {
      const message = this.#scheduler.isRunning(sequence)
        ? "The deadline passed before the answer was complete."
        : "The deadline would have passed before the answer was complete, because the server is busy.";
      this.#reporter.fail(sequence, new AppError("deadline_exceeded", message));
    }
  }
}
