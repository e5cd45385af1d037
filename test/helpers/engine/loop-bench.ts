/** An engine loop over a toy model, and everything it said. */
import { EngineLoop } from "../../../src/engine/process/engine-loop.ts";
import type { EngineEvent, SequenceSpec, StepStats } from "../../../src/engine/protocol.ts";
import { AppError } from "../../../src/errors.ts";
import { ToyRunner } from "./toy-runner.mjs";
import type { ToyOptions } from "./toy-runner.mjs";

type StepFinished = Extract<EngineEvent, { type: "step-finished" }>;

export class Bench {
  readonly runner: ToyRunner;
  readonly loop: EngineLoop;
  readonly events: EngineEvent[] = [];
  readonly done: Promise<void>;
  #onEvent: (() => void) | null = null;

  constructor(options: ToyOptions = {}, limits: { maxNumSeqs?: number; maxQueue?: number } = {}) {
    const notFound = (name: string) => new AppError("adapter_not_found", name);
    this.runner = new ToyRunner({ notFound, ...options });
    const all = { maxNumSeqs: 4, maxQueue: 100, maxQueueTokens: 100_000, ...limits };
    this.loop = new EngineLoop(this.runner, all, (event) => {
      this.events.push(event);
      this.#onEvent?.();
    });
    this.done = this.loop.run();
  }

  add(...specs: SequenceSpec[]): void {
    for (const sequence of specs) this.loop.handle({ type: "sequence-added", sequence });
  }

  get steps(): StepFinished[] {
    return this.events.filter((event) => event.type === "step-finished");
  }

  get lastStats(): StepStats {
    const step = this.steps.at(-1);
    if (step === undefined) throw new Error("no step was reported");
    return step.stats;
  }

  /** Waits until something holds, looked at after every event. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => (this.#onEvent = resolve));
  }

  /** Waits until these sequences have ended, one way or the other. */
  untilEnded(...ids: number[]): Promise<void> {
    return this.until(() => ids.every((id) => this.reason(id) !== undefined || this.error(id) !== undefined));
  }

  tokens(id: number): number[] {
    return this.steps.flatMap(({ sampled }) =>
      sampled.filter((token) => token.id === id).map(({ tokenId }) => tokenId),
    );
  }

  reason(id: number): string | undefined {
    return this.steps.flatMap(({ finished }) => finished).find((end) => end.id === id)?.reason;
  }

  error(id: number): string | undefined {
    return this.steps.flatMap(({ failed }) => failed).find((end) => end.id === id)?.error.code;
  }

  async stop(): Promise<void> {
    this.loop.handle({ type: "engine-stopped" });
    await this.done;
  }
}

export const range = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7) % 36);
