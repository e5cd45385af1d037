/**
 * Waiting requests by tenant, and the limits of a queue: whether it has room, and which requests must make room. The
 * engine's queue and the server's mirror of it (`server/queue-mirror.ts`) count with this same class. Pure; a waiting
 * request is an id with a number of prompt tokens.
 */
import { AppError } from "../errors.ts";

export interface QueueLimits {
  /** Maximum number of sequences that may wait for a row. */
  readonly maxQueue: number;
  /** Maximum number of prompt tokens of all waiting sequences together. */
  readonly maxQueueTokens: number;
}

/** The error for a sequence that finds no room in the queue. */
export function overloadedError(
  waiting: { readonly size: number; readonly numTokens: number },
  { maxQueue, maxQueueTokens }: QueueLimits,
  retryAfterSeconds: number,
): AppError {
  return new AppError(
    "overloaded",
    `The server is full: ${waiting.size} sequences with ${waiting.numTokens} prompt tokens are waiting (limits: ${maxQueue} and ${maxQueueTokens}). Try again later.`,
    { retryAfterSeconds },
  );
}

/** A tenant's waiting requests. */
interface Share {
  /** Prompt tokens by id. */
  readonly waiting: Map<number, number>;
  numTokens: number;
}

/** A tenant's share after some of its requests have left. */
interface Rest {
  size: number;
  numTokens: number;
}

export class QueueBound {
  readonly #limits: QueueLimits;
  /** Tenants with waiting requests. */
  readonly #tenants = new Map<string, Share>();
  #size = 0;
  #numTokens = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /** Prompt tokens of all waiting requests. */
  get numTokens(): number {
    return this.#numTokens;
  }

  /** Number of a tenant's waiting requests. */
  sizeOf(tenant: string): number {
    return this.#tenants.get(tenant)?.waiting.size ?? 0;
  }

  add(id: number, tenant: string, numTokens: number): void {
    const share = this.#tenants.get(tenant) ?? { waiting: new Map<number, number>(), numTokens: 0 };
    this.#tenants.set(tenant, share);
    share.waiting.set(id, numTokens);
    share.numTokens += numTokens;
    this.#size++;
    this.#numTokens += numTokens;
  }

  remove(id: number, tenant: string): void {
    const share = this.#tenants.get(tenant);
    const numTokens = share?.waiting.get(id);
    if (share === undefined || numTokens === undefined) throw new Error(`internal: sequence ${id} does not wait`);
    share.waiting.delete(id);
    share.numTokens -= numTokens;
    if (share.waiting.size === 0) this.#tenants.delete(tenant);
    this.#size--;
    this.#numTokens -= numTokens;
  }

  /**
   * Ids that must leave so that `count` more requests of a tenant, with `numTokens` together, can enter. None if the
   * queue has room. In a full queue, these are the newest requests of the tenant that has the most there. null if that
   * is the asking tenant. No tenant can therefore shut out the others by filling the queue.
   */
  displacedBy(tenant: string, count: number, numTokens: number): readonly number[] | null {
    const { maxQueue, maxQueueTokens } = this.#limits;
    let [size, tokens] = [this.#size + count, this.#numTokens + numTokens];
    if (size <= maxQueue && tokens <= maxQueueTokens) return [];
    const rests = new Map<string, Rest>();
    for (const [name, { waiting, numTokens: all }] of this.#tenants)
      rests.set(name, { size: waiting.size, numTokens: all });
    const own = rests.get(tenant) ?? { size: 0, numTokens: 0 };
    const displaced: number[] = [];
    while (size > maxQueue || tokens > maxQueueTokens) {
      const measure = size > maxQueue ? "size" : "numTokens";
      const [name, most] = [...rests].reduce((a, b) => (b[1][measure] > a[1][measure] ? b : a), [tenant, own] as const);
      const ownAfter = own[measure] + (measure === "size" ? count : numTokens);
      const victim = ownAfter < most[measure] ? this.#newestOf(name, displaced) : null;
      if (victim === null) return null;
      displaced.push(victim.id);
      most.size--;
      most.numTokens -= victim.numTokens;
      size--;
      tokens -= victim.numTokens;
    }
    return displaced;
  }

  #newestOf(name: string, except: readonly number[]): { readonly id: number; readonly numTokens: number } | null {
    const { waiting } = this.#tenants.get(name) ?? { waiting: new Map<number, number>() };
    const id = [...waiting.keys()].filter((one) => !except.includes(one)).reduce((a, b) => Math.max(a, b), -1);
    const numTokens = waiting.get(id);
    return numTokens === undefined ? null : { id, numTokens };
  }
}
