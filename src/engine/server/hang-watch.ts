/**
 * Detects a busy process that gives no sign of life. A native call that never returns would otherwise go unnoticed.
 * Every report of a step is a sign of life. The silence that counts as a hang grows with the longest step seen, so a
 * slow machine is not mistaken for a dead one. It counts only time in which this code itself runs, so a suspended
 * machine is not taken for a hang. Knows no process.
 */

export interface HangLimits {
  /** Shorter silence is never a hang, however short the steps are. It is longer than any first step takes. */
  readonly minMs: number;
  /** Silence shorter than this many of the longest steps is not a hang either. */
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

  /** Notes a message. @param stepSeconds time of the step that it reports; 0 for other messages */
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
