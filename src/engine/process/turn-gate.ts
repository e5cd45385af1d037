/**
 * Whether the loop may run a step now. Where several engines are busy they take turns, which the server grants
 * (`server/step-turns.ts`); an engine that is alone needs none. Pure, but for the messages it sends.
 */
import type { EngineEvent } from "../protocol.ts";

/** `off`: no turns are needed. `free`: they are, and none was asked for. */
type TurnState = "off" | "free" | "waiting" | "granted";

export class TurnGate {
  readonly #send: (event: EngineEvent) => void;
  #state: TurnState = "off";

  constructor(send: (event: EngineEvent) => void) {
    this.#send = send;
  }

  /** Whether a step may run. Where it may not, the turn has been asked for. */
  tryEnter(): boolean {
    if (this.#state === "free") {
      this.#state = "waiting";
      this.#send({ type: "turn-requested" });
    }
    return this.#state === "off" || this.#state === "granted";
  }

  /** Gives the turn back after a step, or when there is nothing to run. */
  end(): void {
    if (this.#state !== "granted") return;
    this.#state = "free";
    this.#send({ type: "turn-ended" });
  }

  grant(): void {
    if (this.#state !== "off") this.#state = "granted";
  }

  change(areTurnsNeeded: boolean): void {
    this.#state = areTurnsNeeded ? "free" : "off";
    // Says that no step is running now: from here on each one waits for its turn.
    if (areTurnsNeeded) this.#send({ type: "turn-ended" });
  }
}
