/**
 * Decides which engine may run a step. Sessions that spin on the same cores slow each other badly (measured: steps
 * swing by 1.5×). When two engines are busy they therefore alternate strictly, one step at a time. A single busy engine
 * does not wait. Pure; engines are opaque values, and `send` informs them.
 */
import type { EngineCommand } from "../protocol.ts";

export class StepTurns<E> {
  readonly #send: (engine: E, command: EngineCommand) => void;
  readonly #engines = new Set<E>();
  readonly #busy = new Set<E>();
  /** It knows that turns are needed, but may still be in a step that it began before. */
  readonly #unsettled = new Set<E>();
  #queue: E[] = [];
  #holder: E | null = null;
  #areTurnsNeeded = false;

  constructor(send: (engine: E, command: EngineCommand) => void) {
    this.#send = send;
  }

  /** An engine whose loop runs. */
  join(engine: E): void {
    this.#engines.add(engine);
    if (this.#areTurnsNeeded) this.#tell(engine);
  }

  /** Removes an engine, which may hold the turn. */
  leave(engine: E): void {
    this.#engines.delete(engine);
    this.#unsettled.delete(engine);
    this.#queue = this.#queue.filter((other) => other !== engine);
    if (this.#holder === engine) this.#holder = null;
    this.setBusy(engine, false);
    this.#grantNext();
  }

  setBusy(engine: E, isBusy: boolean): void {
    if (isBusy) this.#busy.add(engine);
    else this.#busy.delete(engine);
    const areTurnsNeeded = this.#busy.size > 1;
    if (areTurnsNeeded === this.#areTurnsNeeded) return;
    this.#areTurnsNeeded = areTurnsNeeded;
    this.#queue = [];
    this.#holder = null;
    this.#unsettled.clear();
    for (const other of this.#engines) this.#tell(other);
  }

  request(engine: E): void {
    if (!this.#areTurnsNeeded) return; // requested before the engine learned that turns are off
    if (!this.#queue.includes(engine)) this.#queue.push(engine);
    this.#grantNext();
  }

  /** Notes that an engine runs no step now. It has given its turn back, or has just learned that turns are needed. */
  end(engine: E): void {
    this.#unsettled.delete(engine);
    if (this.#holder === engine) this.#holder = null;
    this.#grantNext();
  }

  #tell(engine: E): void {
    if (this.#areTurnsNeeded) this.#unsettled.add(engine);
    this.#send(engine, { type: "turns-changed", areTurnsNeeded: this.#areTurnsNeeded });
  }

  #grantNext(): void {
    if (this.#holder !== null || this.#unsettled.size > 0) return;
    this.#holder = this.#queue.shift() ?? null;
    if (this.#holder !== null) this.#send(this.#holder, { type: "turn-granted" });
  }
}
