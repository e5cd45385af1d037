/**
 * Decides whether the loop may run a step now. Several busy engines take turns, which the server grants
 * (`server/step-turns.ts`). A single busy engine needs no turns. Pure, except for the messages it sends.
 */
import type { EngineEvent } from "../protocol.ts";

/** `off`: no turns are needed. `free`: turns are needed, and none has been requested. */
type TurnState = "off" | "free" | "waiting" | "granted";

export class TurnGate {
  readonly #send: (event: EngineEvent) => void;
  #state: TurnState = "off";

  constructor(send: (event: EngineEvent) => void) {
    this.#send = send;
  }

  /** Whether a step may run. If not, the turn has been requested. */
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
    // Reports to the server that no step is running now. From here on each step waits for its turn.
    if (areTurnsNeeded) this.#send({ type: "turn-ended" });
  }
}
