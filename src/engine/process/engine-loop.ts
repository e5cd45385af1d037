/**
 * The engine's loop: obey commands and admit → plan → run a step → send one report. It owns the sequences and nothing
 * native. Between two steps it yields to the event loop, so a cancellation takes effect within one step. Without work
 * it sleeps. `admission.ts` lets sequences in, `step.ts` runs a step. No text, no HTTP.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError } from "../../errors.ts";
import type { ModelRunner } from "../contracts.ts";
import type { EngineCommand, EngineEvent } from "../protocol.ts";
import { Scheduler, type SchedulerLimits } from "../scheduling/scheduler.ts";
import { Admission } from "./admission.ts";
import { Reporter } from "./reporter.ts";
import { Step } from "./step.ts";
import { TurnGate } from "./turn-gate.ts";

/** The engine's settings that the loop uses. */
export interface LoopOptions extends SchedulerLimits {
  /** Absent: 0. */
  readonly maxDraft?: number;
}

export class EngineLoop {
  readonly #runner: ModelRunner;
  readonly #scheduler: Scheduler;
  readonly #reporter: Reporter;
  readonly #admission: Admission;
  readonly #step: Step;
  readonly #turns: TurnGate;
  #commands: EngineCommand[] = [];
  #wake: (() => void) | null = null;
  #isStopped = false;

  constructor(runner: ModelRunner, options: LoopOptions, send: (event: EngineEvent) => void) {
    this.#runner = runner;
    this.#scheduler = new Scheduler(options, runner.kv);
    this.#reporter = new Reporter(runner, this.#scheduler, send);
    this.#admission = new Admission(runner, this.#scheduler, this.#reporter, options.maxDraft);
    this.#step = new Step(runner, this.#scheduler, this.#reporter);
    this.#turns = new TurnGate(send);
    runner.grammars?.onReady(() => this.#wake?.());
    runner.adapters?.onReady(() => {
      // Metrics and the server's record of ready adapters must stay current even when nothing runs.
      this.#reporter.noteChange();
      this.#wake?.();
    });
  }

  /** Queues a command; it takes effect before the next step. */
  handle(command: EngineCommand): void {
    this.#commands.push(command);
    this.#wake?.();
  }

  /**
   * Runs until `engine-stopped`. Sequences that are still here then end with engine_unavailable.
   * @throws {AppError} engine_unavailable when the device is lost or unusable: the process ends, and a new one takes
   * its place
   */
  async run(): Promise<void> {
    for (;;) {
      this.#obeyCommands();
      this.#admission.admit(); // rows may have become free in the last step
      if (this.#isStopped) break;
      this.#step.endComplete();
      const plan = this.#scheduler.plan();
      this.#reporter.sendIfUrgent(); // a step may take long
      if (plan === null) {
        this.#turns.end();
        this.#reporter.sendIfChanged();
        if (this.#scheduler.isIdle) this.#step.assertDeviceUsable();
        await this.#nextCommand();
      } else if (!this.#turns.tryEnter()) {
        await this.#nextCommand(); // commands that arrive meanwhile need a new plan
      } else {
        this.#reporter.send(await this.#step.run(this.#step.speculationBefore(plan)));
        this.#turns.end();
        await nextTurn(); // a cancellation takes effect within one step
      }
    }
    this.#failAll(new AppError("engine_unavailable", "The server is stopping. Try again later."));
  }

  #failAll(error: AppError): void {
    for (const sequence of this.#scheduler.sequences()) this.#reporter.fail(sequence, error);
    this.#reporter.sendIfChanged();
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

  #obeyCommands(): void {
    const commands = this.#commands;
    this.#commands = [];
    for (const command of commands) this.#obey(command);
  }

  #obey(command: EngineCommand): void {
    switch (command.type) {
      case "engine-started":
        throw new Error("internal: the engine has started already");
      case "sequence-added":
        return this.#admission.add(command.sequence);
      case "sequence-cancelled": {
        const sequence = this.#scheduler.get(command.id); // null: the sequence has ended meanwhile
        if (sequence !== null) this.#reporter.remove(sequence);
        return;
      }
      case "adapter-dropped":
        // The cache has become smaller. The metrics must show this even when nothing runs.
        if (this.#runner.adapters?.drop(command.generation) === true) this.#reporter.noteChange();
        this.#runner.prefixes?.drop(command.generation);
        return;
      case "turns-changed":
        return this.#turns.change(command.areTurnsNeeded);
      case "turn-granted":
        return this.#turns.grant();
      case "engine-stopped":
        this.#isStopped = true;
    }
  }
}
