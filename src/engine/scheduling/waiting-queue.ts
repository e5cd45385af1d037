/**
 * Sequences that wait for a row. Tenants take turns by tokens. Within a tenant, its adapters take turns by tokens.
 * Within an adapter, the oldest sequence is first. `peek` is the one place that decides who is next. Pure; knows
 * nothing of rows or memory.
 */
import { FairQueue } from "./fair-queue.ts";
import type { SequenceSpec } from "../protocol.ts";
import { QueueBound, type QueueLimits } from "../queue-bound.ts";
import type { Sequence } from "./sequence.ts";

interface Tenant {
  readonly turns: FairQueue;
  /** Waiting sequences by adapter; no list is empty. */
  readonly lines: Map<string, Sequence[]>;
}

/** A tenant with priority 2 is charged for half of its tokens, so its turn comes twice as often. */
const weighted = ({ priority = 1 }: SequenceSpec, numTokens: number): number => numTokens / priority;

const lineOf = ({ adapter }: SequenceSpec): string => adapter?.generation ?? "";

export class WaitingQueue {
  readonly #bound: QueueBound;
  readonly #turns = new FairQueue();
  /** Tenants with waiting sequences. */
  readonly #tenants = new Map<string, Tenant>();
  readonly #byId = new Map<number, Sequence>();

  constructor(limits: QueueLimits) {
    this.#bound = new QueueBound(limits);
  }

  get size(): number {
    return this.#bound.size;
  }

  /** Prompt tokens of all waiting sequences. */
  get numTokens(): number {
    return this.#bound.numTokens;
  }

  add(sequence: Sequence): void {
    const { id, spec } = sequence;
    const tenant = this.#tenants.get(spec.tenant) ?? { turns: new FairQueue(), lines: new Map<string, Sequence[]>() };
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

  /** Removes a sequence whose turn has come. Its tenant and its adapter are charged for its prompt. */
  take(sequence: Sequence): void {
    const { spec } = sequence;
    const tenant = this.#takeOut(sequence);
    if (tenant === null) throw new Error(`internal: sequence ${sequence.id} does not wait`);
    this.#turns.take(spec.tenant, weighted(spec, spec.promptIds.length));
    tenant.turns.take(lineOf(spec), spec.promptIds.length);
  }

  /** Removes a sequence whose turn has not come. Does nothing if the sequence does not wait. */
  remove(sequence: Sequence): void {
    const tenant = this.#takeOut(sequence);
    if (tenant === null) return;
    this.#turns.leave(sequence.spec.tenant);
    tenant.turns.leave(lineOf(sequence.spec));
  }

  /** Charges the tenant and the adapter for tokens that a sequence received after it was taken. */
  charge({ spec }: Sequence, numTokens: number): void {
    this.#turns.charge(spec.tenant, weighted(spec, numTokens));
    this.#tenants.get(spec.tenant)?.turns.charge(lineOf(spec), numTokens);
  }

  /** Sequences that must leave so that this one can enter; null: it may not enter. @see QueueBound.displacedBy */
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
