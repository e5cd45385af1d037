/**
 * The usage of each tenant, by day (UTC) and adapter. It is counted in memory and written every few seconds, so a
 * killed process loses at most that much. Knows nothing of requests.
 */
import { LAST, type Tables } from "../database.ts";
import { DelayedWrite } from "./delayed-write.ts";
import type { Transactions } from "../lmdb/transactions.ts";

export interface UsageCounts {
  readonly requests: number;
  readonly promptTokens: number;
  readonly generationTokens: number;
}

export interface UsageRow extends UsageCounts {
  readonly tenant: string;
  /** A qualified name, `_inline`, `_blend`, or the empty text for the base. */
  readonly adapter: string;
  /** Such as 2026-11-29. */
  readonly day: string;
}

type Key = readonly [tenant: string, day: string, adapter: string];

export class Usage {
  readonly #table: Tables["usage"];
  readonly #transactions: Transactions;
  /** Counted and not yet written, by the key's text. */
  #unwritten = new Map<string, { readonly key: Key; counts: UsageCounts }>();
  readonly #write = new DelayedWrite(() => this.#writeAll());

  constructor({ usage }: Pick<Tables, "usage">, transactions: Transactions) {
    this.#table = usage;
    this.#transactions = transactions;
  }

  add(tenant: string, adapter: string, counts: UsageCounts): void {
    const key = [tenant, new Date().toISOString().slice(0, 10), adapter] as const;
    const text = key.join("\n");
    const before = this.#unwritten.get(text);
    if (before) before.counts = sum(before.counts, counts);
    else this.#unwritten.set(text, { key, counts });
    this.#write.schedule();
  }

  /** Writes what is counted. */
  flush(): Promise<void> {
    return this.#write.run();
  }

  /** Writes a last time. What follows is not kept. */
  close(): Promise<void> {
    return this.#write.close();
  }

  async #writeAll(): Promise<void> {
    const writing = this.#unwritten;
    if (writing.size === 0) return;
    this.#unwritten = new Map();
    try {
      await this.#transactions.commit(() => {
        for (const { key, counts } of writing.values()) {
          const whole: [string, string, string] = [...key];
          void this.#table.put(whole, sum(this.#table.get(whole) ?? NOTHING, counts));
        }
      });
    } catch (error) {
      for (const { key, counts } of writing.values()) this.#addBack(key, counts);
      throw error;
    }
  }

  /** Rows of one tenant, or of all (null), from one day to another, both included. */
  async list(tenant: string | null, from: string, to: string): Promise<UsageRow[]> {
    await this.flush();
    const range = tenant === null ? {} : { start: [tenant, from], end: [tenant, to, LAST] };
    return Array.from(this.#table.getRange(range as object), ({ key, value }) => {
      const [owner, day, adapter] = key;
      return { tenant: owner, day, adapter, ...value };
    }).filter(({ day }) => day >= from && day <= to);
  }

  #addBack(key: Key, counts: UsageCounts): void {
    const text = key.join("\n");
    const later = this.#unwritten.get(text)?.counts ?? NOTHING;
    this.#unwritten.set(text, { key, counts: sum(later, counts) });
  }
}

const NOTHING: UsageCounts = { requests: 0, promptTokens: 0, generationTokens: 0 };

function sum(a: UsageCounts, b: UsageCounts): UsageCounts {
  return {
    requests: a.requests + b.requests,
    promptTokens: a.promptTokens + b.promptTokens,
    generationTokens: a.generationTokens + b.generationTokens,
  };
}
