/**
 * Sequences that wait for a row: first come first served within a tenant, one from each tenant in turn.
 * `peek` is the one place that decides who is next. Pure; knows nothing of rows or memory.
 */
import type { Sequence } from "./sequence.ts";

export class WaitingQueue {
  /** In the order of their turns. A tenant without waiting sequences has no entry. */
  readonly #byTenant = new Map<string, Sequence[]>();
  #size = 0;
  #numTokens = 0;

  get size(): number {
    return this.#size;
  }

  /** Prompt tokens of all that wait. */
  get numTokens(): number {
    return this.#numTokens;
  }

  add(sequence: Sequence): void {
    const { tenant } = sequence.spec;
    const own = this.#byTenant.get(tenant);
    if (own === undefined) this.#byTenant.set(tenant, [sequence]);
    else own.push(sequence);
    this.#count(sequence, 1);
  }

  /** The sequence whose turn it is. */
  peek(): Sequence | null {
    for (const own of this.#byTenant.values()) return own[0] ?? null;
    return null;
  }

  /** Removes the sequence whose turn it is; its tenant goes behind the others. */
  take(): Sequence | null {
    const next = this.peek();
    if (next === null) return null;
    const { tenant } = next.spec;
    const rest = (this.#byTenant.get(tenant) ?? []).slice(1);
    this.#byTenant.delete(tenant);
    if (rest.length > 0) this.#byTenant.set(tenant, rest);
    this.#count(next, -1);
    return next;
  }

  /** Takes a sequence out whose turn has not come. */
  remove(sequence: Sequence): void {
    const { tenant } = sequence.spec;
    const own = this.#byTenant.get(tenant) ?? [];
    const index = own.indexOf(sequence);
    if (index < 0) return;
    own.splice(index, 1);
    if (own.length === 0) this.#byTenant.delete(tenant);
    this.#count(sequence, -1);
  }

  #count(sequence: Sequence, sign: 1 | -1): void {
    this.#size += sign;
    this.#numTokens += sign * sequence.spec.promptIds.length;
  }
}
