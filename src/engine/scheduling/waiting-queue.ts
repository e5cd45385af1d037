/**
 * Sequences that wait for a row: turns by tokens among tenants, within a tenant among adapters, within an adapter first come
 * first served. `peek` is the one place that decides who is next. Pure; knows nothing of rows or memory.
 */
import { FairTurns } from "./fair-queue.ts";
import type { SequenceSpec } from "../protocol.ts";
import { QueueBound, type QueueLimits } from "../queue-bound.ts";
import type { Sequence } from "./sequence.ts";

interface Tenant {
  readonly turns: FairTurns;
  /** By adapter, none of them empty. */
  readonly lines: Map<string, Sequence[]>;
}

const lineOf = ({ adapter }: SequenceSpec): string => adapter?.generation ?? "";

export class WaitingQueue {
  readonly #bound: QueueBound;
  readonly #turns = new FairTurns();
  /** Those of whom something waits. */
  readonly #tenants = new Map<string, Tenant>();
  readonly #byId = new Map<number, Sequence>();

  constructor(limits: QueueLimits) {
    this.#bound = new QueueBound(limits);
  }

  get size(): number {
    return this.#bound.size;
  }

  /** Prompt tokens of all that wait. */
  get numTokens(): number {
    return this.#bound.numTokens;
  }

  add(sequence: Sequence): void {
    const { id, spec } = sequence;
    const tenant = this.#tenants.get(spec.tenant) ?? { turns: new FairTurns(), lines: new Map<string, Sequence[]>() };
    this.#tenants.set(spec.tenant, tenant);
    const line = lineOf(spec);
    const own = tenant.lines.get(line);
    if (own === undefined) tenant.lines.set(line, [sequence]);
    else own.push(sequence);
    this.#turns.add(spec.tenant);
    tenant.turns.add(line);
    this.#byId.set(id, sequence);
    this.#bound.add(id, spec.tenant, spec.promptIds.length);
  }

  /** The sequence whose turn it is. */
  peek(): Sequence | null {
    const tenant = this.#tenants.get(this.#turns.next() ?? "");
    return tenant?.lines.get(tenant.turns.next() ?? "")?.[0] ?? null;
  }

  /** Takes a sequence out whose turn has come; its tenant and its adapter pay for its prompt. */
  take(sequence: Sequence): void {
    const { spec } = sequence;
    const tenant = this.#takeOut(sequence);
    if (tenant === null) throw new Error(`internal: sequence ${sequence.id} does not wait`);
    this.#turns.take(spec.tenant, spec.promptIds.length);
    tenant.turns.take(lineOf(spec), spec.promptIds.length);
  }

  /** Takes a sequence out whose turn has not come; nothing where it does not wait. */
  remove(sequence: Sequence): void {
    const tenant = this.#takeOut(sequence);
    if (tenant === null) return;
    this.#turns.leave(sequence.spec.tenant);
    tenant.turns.leave(lineOf(sequence.spec));
  }

  /** Charges what a sequence that was taken has had since. */
  charge({ spec }: Sequence, numTokens: number): void {
    this.#turns.charge(spec.tenant, numTokens);
    this.#tenants.get(spec.tenant)?.turns.charge(lineOf(spec), numTokens);
  }

  /** Which sequences would have to go for this one to come in; null: it may not. @see QueueBound.displacedBy */
  displacedBy({ spec }: Sequence): readonly Sequence[] | null {
    const displaced = this.#bound.displacedBy(spec.tenant, 1, spec.promptIds.length);
    return displaced?.flatMap((id) => this.#byId.get(id) ?? []) ?? null;
  }

  #takeOut(sequence: Sequence): Tenant | null {
    const { id, spec } = sequence;
    const tenant = this.#tenants.get(spec.tenant);
    const line = tenant?.lines.get(lineOf(spec));
    const index = line?.indexOf(sequence) ?? -1;
    if (!tenant || !line || index < 0) return null;
    line.splice(index, 1);
    if (line.length === 0) tenant.lines.delete(lineOf(spec));
    if (tenant.lines.size === 0) this.#tenants.delete(spec.tenant);
    this.#byId.delete(id);
    this.#bound.remove(id, spec.tenant);
    return tenant;
  }
}
