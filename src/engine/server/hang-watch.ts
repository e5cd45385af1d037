/**
 * Notices that a process at work gives no sign of life: a native call that never returns ends nothing by itself. Every report of a step
 * is a sign, and what is taken for a hang grows with the longest step seen, so that a slow machine is not taken for a dead one.
 * Knows no process; counts time only while it runs itself, so that a machine put to sleep has not hung.
 */

export interface HangLimits {
  /** Silence that is a hang whatever the steps take; more than any first step can. */
  readonly minMs: number;
  /** Silence of so many of the longest steps is one, too. */
  readonly numSteps: number;
  readonly checkMs: number;
}

export const HANG_LIMITS: HangLimits = { minMs: 180_000, numSteps: 30, checkMs: 5000 };

export class HangWatch {
  readonly #limits: HangLimits;
  readonly #onHang: (silentSeconds: number) => void;
  #timer: NodeJS.Timeout | null = null;
  #silentMs = 0;
  #longestStepMs = 0;

  constructor(limits: HangLimits, onHang: (silentSeconds: number) => void) {
    this.#limits = limits;
    this.#onHang = onHang;
  }

  /** A message has come. @param stepSeconds what the step took that it tells of; 0 for others */
  noteSign(stepSeconds: number): void {
    this.#silentMs = 0;
    this.#longestStepMs = Math.max(this.#longestStepMs, 1000 * stepSeconds);
  }

  /** Silence counts only while there is work. */
  setBusy(isBusy: boolean): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#silentMs = 0;
    if (!isBusy) return;
    this.#timer = setInterval(() => this.#check(), this.#limits.checkMs);
    this.#timer.unref();
  }

  #check(): void {
    const { minMs, numSteps, checkMs } = this.#limits;
    this.#silentMs += checkMs;
    if (this.#silentMs <= Math.max(minMs, numSteps * this.#longestStepMs)) return;
    const silentSeconds = this.#silentMs / 1000;
    this.setBusy(false);
    this.#onHang(silentSeconds);
  }
}
