/**
 * Sequences that wait for a row: turns by tokens among tenants, within a tenant among adapters, within an adapter first come
 * first served. `peek` is the one place that decides who is next. Pure; knows nothing of rows or memory.
 */
import { FairTurns } from "./fair-turns.ts";
import type { SequenceSpec } from "./protocol.ts";
import type { Sequence } from "./sequence.ts";

interface Tenant {
  readonly turns: FairTurns;
  /** By adapter, none of them empty. */
  readonly lines: Map<string, Sequence[]>;
  size: number;
  numTokens: number;
}

export interface QueueLimits {
  /** Most sequences that wait for a row. */
  readonly maxQueue: number;
  /** Most prompt tokens of those that wait. */
  readonly maxQueueTokens: number;
}

const lineOf = ({ adapter }: SequenceSpec): string => adapter?.generation ?? "";

export class WaitingQueue {
  readonly #limits: QueueLimits;
  readonly #turns = new FairTurns();
  /** Those of whom something waits. */
  readonly #tenants = new Map<string, Tenant>();
  #size = 0;
  #numTokens = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /** Prompt tokens of all that wait. */
  get numTokens(): number {
    return this.#numTokens;
  }

  add(sequence: Sequence): void {
    const { spec } = sequence;
    const tenant = this.#tenants.get(spec.tenant) ?? {
      turns: new FairTurns(),
      lines: new Map(),
      size: 0,
      numTokens: 0,
    };
    this.#tenants.set(spec.tenant, tenant);
    const line = lineOf(spec);
    const own = tenant.lines.get(line);
    if (own === undefined) tenant.lines.set(line, [sequence]);
    else own.push(sequence);
    this.#turns.add(spec.tenant);
    tenant.turns.add(line);
    this.#count(tenant, spec, 1);
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

  /**
   * Which sequences would have to go for this one to come in: none where there is room, the newest of whoever has most in the queue
   * where it is full; null where this one's tenant is that one. So nobody can keep the others out by filling the queue.
   */
  displacedBy({ spec }: Sequence): readonly Sequence[] | null {
    const displaced: Sequence[] = [];
    const { maxQueue, maxQueueTokens } = this.#limits;
    const left = new Map([...this.#tenants].map(([name, { size, numTokens }]) => [name, { size, numTokens }]));
    const own = left.get(spec.tenant) ?? { size: 0, numTokens: 0 };
    let size = this.#size + 1;
    let numTokens = this.#numTokens + spec.promptIds.length;
    while (size > maxQueue || numTokens > maxQueueTokens) {
      const measure = size > maxQueue ? "size" : "numTokens";
      const [name, most] = [...left].reduce((a, b) => (b[1][measure] > a[1][measure] ? b : a), [
        spec.tenant,
        own,
      ] as const);
      const ownAfter = own[measure] + (measure === "size" ? 1 : spec.promptIds.length);
      const victim = ownAfter < most[measure] ? this.#newestOf(name, displaced) : null;
      if (victim === null) return null;
      displaced.push(victim);
      most.size--;
      most.numTokens -= victim.spec.promptIds.length;
      size--;
      numTokens -= victim.spec.promptIds.length;
    }
    return displaced;
  }

  #newestOf(name: string, except: readonly Sequence[]): Sequence | null {
    const lines = [...(this.#tenants.get(name)?.lines.values() ?? [])];
    return lines.flat().reduce<Sequence | null>((newest, one) => {
      if (except.includes(one)) return newest;
      return newest === null || one.id > newest.id ? one : newest;
    }, null);
  }

  #takeOut(sequence: Sequence): Tenant | null {
    const { spec } = sequence;
    const tenant = this.#tenants.get(spec.tenant);
    const line = tenant?.lines.get(lineOf(spec));
    const index = line?.indexOf(sequence) ?? -1;
    if (!tenant || !line || index < 0) return null;
    line.splice(index, 1);
    if (line.length === 0) tenant.lines.delete(lineOf(spec));
    this.#count(tenant, spec, -1);
    if (tenant.size === 0) this.#tenants.delete(spec.tenant);
    return tenant;
  }

  #count(tenant: Tenant, { promptIds }: SequenceSpec, sign: 1 | -1): void {
    tenant.size += sign;
    tenant.numTokens += sign * promptIds.length;
    this.#size += sign;
    this.#numTokens += sign * promptIds.length;
  }
}
