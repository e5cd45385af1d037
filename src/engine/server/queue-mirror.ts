/**
 * The server's mirror of one engine process's queue: which sequences wait and which have a row. It is computed from the
 * sequences sent and the reports received. If the queue has no room for a request, the request is refused here, before
 * its prompt is read, and never becomes a message. The engine checks again. Pure. Each process has its own mirror, so
 * no count outlives a dead process.
 */
import { AppError } from "../../errors.ts";
import type { QueueDemand } from "../engine.ts";
import { overloadedError, QueueBound, type QueueLimits } from "../queue-bound.ts";
import { ServiceTimes } from "../service-times.ts";

interface MirrorLimits extends QueueLimits {
  readonly maxNumSeqs: number;
}

/** `starting`: sent while a row was free, and not reported since. */
interface Passed {
  readonly tenant: string;
  readonly numTokens: number;
  state: "starting" | "waiting" | "running";
}

export class QueueMirror {
  readonly #limits: MirrorLimits;
  readonly #bound: QueueBound;
  readonly #times = new ServiceTimes();
  readonly #passed = new Map<number, Passed>();

  constructor(limits: MirrorLimits) {
    this.#limits = limits;
    this.#bound = new QueueBound(limits);
  }

  get numWaiting(): number {
    return this.#bound.size;
  }

  /** The reason why a request cannot enter; null where it can. @param nowMs of a monotonic clock */
  refusal({ tenant, promptTokens, queueShare = 1 }: QueueDemand, nowMs: number): AppError | null {
    const queued = promptTokens.slice(this.#numFreeRows());
    if (queued.length === 0) return null;
    const most = Math.max(1, Math.floor(queueShare * this.#limits.maxQueue));
    const retryAfterSeconds = this.#times.retryAfterSeconds(this.#bound.size, nowMs);
    if (queueShare < 1 && this.#bound.sizeOf(tenant) + queued.length > most)
      return new AppError(
        "rate_limit_exceeded",
        `This tenant may have ${most} sequences in the queue, and ${this.#bound.sizeOf(tenant)} wait there already. Try again later.`,
        { retryAfterSeconds },
      );
    const numTokens = queued.reduce((sum, one) => sum + one, 0);
    if (this.#bound.displacedBy(tenant, queued.length, numTokens) !== null) return null;
    return overloadedError(this.#bound, this.#limits, retryAfterSeconds);
  }

  /** Notes that a sequence is sent to the engine. */
  add(id: number, tenant: string, numTokens: number): void {
    const state = this.#numFreeRows() > 0 ? "starting" : "waiting";
    this.#passed.set(id, { tenant, numTokens, state });
    if (state === "waiting") this.#bound.add(id, tenant, numTokens);
  }

  /** Notes that the engine has queued these sequences. They have no row yet, unless `noteAdmitted` follows. */
  noteAdded(ids: readonly number[]): void {
    for (const id of ids) {
      const one = this.#passed.get(id); // undefined: cancelled meanwhile
      if (one?.state === "starting") this.#move(id, one, "waiting");
    }
  }

  /** Notes that the engine has given these sequences a row. @param nowMs the clock of `refusal` */
  noteAdmitted(ids: readonly number[], nowMs: number): void {
    for (const id of ids) {
      const one = this.#passed.get(id);
      if (one === undefined) continue;
      this.#move(id, one, "running");
      if (this.#bound.size > 0) this.#times.noteStarted(nowMs);
    }
  }

  /** Notes that a sequence has ended, for any reason. */
  remove(id: number): void {
    const one = this.#passed.get(id);
    if (one?.state === "waiting") this.#bound.remove(id, one.tenant);
    this.#passed.delete(id);
  }

  /**
   * Number of further sequences that would get a row at once. Waiting sequences come first, as they do in the engine.
   */
  #numFreeRows(): number {
    return Math.max(0, this.#limits.maxNumSeqs - this.#passed.size);
  }

  #move(id: number, one: Passed, state: "waiting" | "running"): void {
    if (one.state === "waiting") this.#bound.remove(id, one.tenant);
    if (state === "waiting") this.#bound.add(id, one.tenant, one.numTokens);
    one.state = state;
  }
}
