/**
 * Counts which contents this process still uses, and which are being removed. Pure bookkeeping. Knows nothing of LMDB:
 * the store asks here inside its transactions.
 */

/** Counts of holds by generation. */
export class Holds {
  readonly #counts = new Map<string, number>();
  readonly #removals = new Map<string, number>();

  add(generation: string): void {
    this.#counts.set(generation, (this.#counts.get(generation) ?? 0) + 1);
  }

  /** Removes one hold and returns the number left. @throws Error when there was none: a caller released twice. */
  remove(generation: string): number {
    const before = this.#counts.get(generation);
    if (before === undefined) throw new Error(`internal: ${generation} was released more often than acquired`);
    if (before > 1) this.#counts.set(generation, before - 1);
    else this.#counts.delete(generation);
    return before - 1;
  }

  has(generation: string): boolean {
    return this.#counts.has(generation);
  }

  /** Between these two calls no new hold on the generation may begin. Pairs may overlap. */
  beginRemoval(generation: string): void {
    this.#removals.set(generation, (this.#removals.get(generation) ?? 0) + 1);
  }

  endRemoval(generation: string): void {
    const left = (this.#removals.get(generation) ?? 0) - 1;
    if (left > 0) this.#removals.set(generation, left);
    else this.#removals.delete(generation);
  }

  isBeingRemoved(generation: string): boolean {
    return this.#removals.has(generation);
  }
}
