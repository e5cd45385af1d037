/** The server's door against the engine's own scheduler, with messages between them that take their time. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AppError } from "../../../src/errors.ts";
import { QueueMirror } from "../../../src/engine/server/queue-mirror.ts";
import { Scheduler } from "../../../src/engine/scheduling/scheduler.ts";
import { Sequence } from "../../../src/engine/scheduling/sequence.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { ToyRunner } from "../../helpers/engine/toy-runner.mjs";

const LIMITS = { maxNumSeqs: 2, maxQueue: 4, maxQueueTokens: 40 };

/** A door, an engine, and what is on its way between them. */
class Pair {
  readonly door = new QueueMirror(LIMITS);
  readonly scheduler = new Scheduler(LIMITS, new ToyRunner({ numRows: LIMITS.maxNumSeqs }).kv);
  #toEngine: (() => void)[] = [];
  #toDoor: (() => void)[] = [];
  #nextId = 1;
  /** What the client has not let go of. */
  readonly open = new Set<number>();

  isRefused(tenant: string, promptTokens: readonly number[]): boolean {
    const refusal = this.door.refusal({ tenant, promptTokens }, 0);
    if (refusal !== null) expect(refusal).toMatchObject({ code: "overloaded" });
    return refusal !== null;
  }

  send(tenant: string, numTokens: number): number {
    const id = this.#nextId++;
    this.open.add(id);
    this.door.add(id, tenant, numTokens);
    this.#toEngine.push(() => void this.addToEngine(id, tenant, numTokens));
    return id;
  }

  /** @returns whether the engine takes it */
  addToEngine(id: number, tenant: string, numTokens: number): boolean {
    const prompt = Array.from({ length: numTokens }, () => 1);
    try {
      for (const displaced of this.scheduler.add(new Sequence(sequenceSpec(id, prompt, { tenant }), 0), 0))
        this.#endInEngine(displaced);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#toDoor.push(() => this.#end(id));
      return false;
    }
    this.#toDoor.push(() => this.door.noteAdded([id]));
    this.#admit();
    return true;
  }

  cancel(id: number): void {
    this.#end(id);
    this.#toEngine.push(() => {
      const sequence = this.scheduler.get(id);
      if (sequence !== null) this.scheduler.remove(sequence);
      this.#admit();
    });
  }

  /** A sequence ends in the engine: the n-th of those that are there. */
  end(n: number): void {
    const all = [...this.scheduler.sequences()];
    const sequence = all[n % all.length];
    if (sequence) this.#endInEngine(sequence);
    this.#admit();
  }

  /** One message arrives on either side. */
  deliver(isToEngine: boolean): void {
    (isToEngine ? this.#toEngine : this.#toDoor).shift()?.();
  }

  deliverAll(): void {
    while (this.#toEngine.length > 0) this.deliver(true);
    while (this.#toDoor.length > 0) this.deliver(false);
  }

  #end(id: number): void {
    this.open.delete(id);
    this.door.remove(id);
  }

  #endInEngine(sequence: Sequence): void {
    this.scheduler.remove(sequence);
    this.#toDoor.push(() => this.#end(sequence.id));
  }

  #admit(): void {
    for (let next = this.scheduler.takeAdmissible(); next; next = this.scheduler.takeAdmissible()) {
      const { id } = next;
      this.scheduler.start(next, 0);
      this.#toDoor.push(() => this.door.noteAdmitted([id], 0));
    }
  }
}

const tenant = fc.constantFrom("a", "b", "c");
const numTokens = fc.integer({ min: 1, max: 25 });
const action = fc.oneof(
  fc.record({ type: fc.constant("ask" as const), tenant, numTokens }),
  fc.record({ type: fc.constant("deliver" as const), isToEngine: fc.boolean() }),
  fc.record({ type: fc.constant("cancel" as const), n: fc.nat(9) }),
  fc.record({ type: fc.constant("end" as const), n: fc.nat(9) }),
);

function act(pair: Pair, one: typeof action extends fc.Arbitrary<infer A> ? A : never): void {
  switch (one.type) {
    case "ask":
      if (!pair.isRefused(one.tenant, [one.numTokens])) pair.send(one.tenant, one.numTokens);
      return;
    case "deliver":
      return pair.deliver(one.isToEngine);
    case "cancel": {
      const ids = [...pair.open];
      const id = ids[one.n % ids.length];
      if (id !== undefined) pair.cancel(id);
      return;
    }
    case "end":
      return pair.end(one.n);
  }
}

describe("the door, whatever came before and in whatever order the two heard of it", () => {
  it("knows how many wait, and refuses what the engine would refuse and nothing else", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), tenant, numTokens, (actions, name, length) => {
        const pair = new Pair();
        for (const one of actions) act(pair, one);
        pair.deliverAll();
        expect(pair.door.numWaiting).toBe(pair.scheduler.numWaiting);
        const isRefused = pair.isRefused(name, [length]);
        expect(pair.addToEngine(1e6, name, length)).toBe(!isRefused);
      }),
      { numRuns: 500 },
    );
  });

  it("is empty when all have ended", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const pair = new Pair();
        for (const one of actions) act(pair, one);
        for (const id of pair.open) pair.cancel(id);
        pair.deliverAll();
        expect([pair.door.numWaiting, pair.scheduler.numWaiting]).toEqual([0, 0]);
        // As many find a place as at first: both rows and the queue.
        const places = LIMITS.maxNumSeqs + LIMITS.maxQueue;
        for (let i = 0; i < places; i++)
          expect([i, pair.isRefused("a", [1]), pair.send("a", 1) > 0]).toEqual([i, false, true]);
        expect(pair.isRefused("a", [1])).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

describe("a request of several sequences", () => {
  it("comes in whole or not at all, rows counted", () => {
    const pair = new Pair();
    const ones = (count: number) => Array.from({ length: count }, () => 1);
    expect([pair.isRefused("a", ones(6)), pair.isRefused("a", ones(7))]).toEqual([false, true]);
    pair.send("a", 1);
    expect([pair.isRefused("a", ones(5)), pair.isRefused("a", ones(6))]).toEqual([false, true]);
  });

  it("is bounded by the tokens of those of it that would wait", () => {
    const pair = new Pair();
    expect([pair.isRefused("a", [100, 100, 20, 20]), pair.isRefused("a", [100, 100, 20, 21])]).toEqual([false, true]);
  });
});

it("counts one that was sent for a free row as waiting once the engine says that it waits for something else", () => {
  const { door } = new Pair();
  for (let id = 1; id <= 6; id++) door.add(id, "a", 1);
  door.noteAdded([1, 2]); // no memory for them yet
  expect(door.numWaiting).toBe(6);
  expect(door.refusal({ tenant: "a", promptTokens: [1] }, 0)).not.toBeNull();
  door.noteAdmitted([1, 2], 0);
  expect(door.numWaiting).toBe(4);
});

it("advises to come again when half of the queue will have drained", () => {
  const { door } = new Pair();
  for (let id = 1; id <= 40; id++) door.add(id, "a", 1);
  for (let id = 1; id <= 32; id++) door.noteAdmitted([id], id * 1000); // one a second
  expect(door.refusal({ tenant: "a", promptTokens: [1] }, 33_000)?.details.retryAfterSeconds).toBe(4);
});

describe("a tenant's share of the queue", () => {
  it("is refused beyond it with 429, while others still enter", () => {
    const door = new QueueMirror(LIMITS);
    for (let id = 1; id <= 3; id++) door.add(id, "small", 1); // two rows, and one in the queue of four
    const refusalOf = (tenant: string, count: number, queueShare?: number) =>
      door.refusal({ tenant, promptTokens: Array.from({ length: count }, () => 1), queueShare }, 0)?.code ?? null;
    expect(refusalOf("small", 1, 0.5)).toBeNull();
    expect(refusalOf("small", 2, 0.5)).toBe("rate_limit_exceeded");
    expect(refusalOf("small", 2)).toBeNull();
    expect(refusalOf("other", 2, 0.5)).toBeNull();
    expect(refusalOf("small", 1, 0.01)).toBe("rate_limit_exceeded"); // one place is the least
  });
});
