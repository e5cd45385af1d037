import { describe, expect, it } from "vitest";
import { Sequence } from "../../../src/engine/scheduling/sequence.ts";
import { WaitingQueue } from "../../../src/engine/scheduling/waiting-queue.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";

let nextId = 1;
const make = (tenant: string, numTokens = 10, adapter: string | null = null): Sequence =>
  new Sequence(
    sequenceSpec(
      nextId++,
      Array.from({ length: numTokens }, () => 1),
      {
        tenant,
        adapter: adapter === null ? null : { generation: adapter },
      },
    ),
    0,
  );
const makeWithPriority = (tenant: string, priority: number): Sequence => {
  const { spec } = make(tenant);
  return new Sequence({ ...spec, priority }, 0);
};
const makeQueue = (maxQueue = 1000, maxQueueTokens = 1_000_000): WaitingQueue =>
  new WaitingQueue({ maxQueue, maxQueueTokens });

/** Takes everything, as `describe` names it. */
function drain(queue: WaitingQueue, describe: (sequence: Sequence) => string): string[] {
  const order: string[] = [];
  for (let next = queue.peek(); next !== null; next = queue.peek()) {
    queue.take(next);
    order.push(describe(next));
  }
  return order;
}

describe("the queue", () => {
  it("gives a tenant of priority 3 three turns for one of another tenant", () => {
    const queue = makeQueue();
    for (let i = 0; i < 6; i++) queue.add(makeWithPriority("a", 3));
    for (let i = 0; i < 6; i++) queue.add(make("b"));
    const order = drain(queue, ({ spec }) => spec.tenant).join("");
    const ofFirst = order.slice(0, 8); // until the first tenant's are gone
    expect([...ofFirst].filter((tenant) => tenant === "a")).toHaveLength(6);
    expect(order.slice(8)).toBe("bbbb");
  });

  it("goes round among the adapters of a tenant, whose share does not grow with their number", () => {
    const queue = makeQueue();
    for (const adapter of ["x", "x", "x", "y", "z"]) queue.add(make("many", 10, adapter));
    for (let i = 0; i < 3; i++) queue.add(make("one", 10));
    const order = drain(queue, ({ spec }) => spec.adapter?.generation ?? "-");
    expect(order.join("")).toBe("x-y-z-xx");
  });

  it("is first come first served within an adapter", () => {
    const queue = makeQueue();
    const sequences = Array.from({ length: 5 }, () => make("a", 10, "x"));
    for (const sequence of sequences) queue.add(sequence);
    expect(drain(queue, ({ id }) => String(id))).toEqual(sequences.map(({ id }) => String(id)));
  });

  it("counts requests and tokens, whichever request leaves in whatever way", () => {
    const queue = makeQueue();
    const [a, b, c] = [make("a", 5), make("a", 7), make("b", 11)];
    for (const sequence of [a, b, c]) queue.add(sequence);
    expect([queue.size, queue.numTokens]).toEqual([3, 23]);
    queue.remove(b);
    queue.remove(b); // not there any more
    queue.take(a);
    expect([queue.size, queue.numTokens]).toEqual([1, 11]);
    queue.remove(c);
    expect([queue.size, queue.numTokens, queue.peek()]).toEqual([0, 0, null]);
  });

  it("charges generated tokens", () => {
    const queue = makeQueue();
    for (const tenant of ["a", "a", "a", "b", "b"]) queue.add(make(tenant, 10));
    const first = queue.peek()!; // something waits
    queue.take(first);
    queue.charge(first, 10);
    expect(drain(queue, ({ spec }) => spec.tenant).join("")).toBe("bbaa");
  });
});

describe("a full queue", () => {
  it("refuses the flow with most in it, and lets others in for that flow's newest", () => {
    const queue = makeQueue(10);
    const flood = Array.from({ length: 10 }, () => make("flood"));
    for (const sequence of flood) queue.add(sequence);
    expect(queue.displacedBy(make("flood"))).toBeNull();
    for (let i = 0; i < 4; i++) {
      const small = make("small");
      const displaced = queue.displacedBy(small);
      expect(displaced).toEqual([flood[9 - i]]);
      for (const sequence of displaced ?? []) queue.remove(sequence);
      queue.add(small);
    }
    expect(queue.displacedBy(make("small"))).toHaveLength(1); // 5 and 5
    expect(queue.displacedBy(make("flood"))).toBeNull();
  });

  it("does the same by tokens", () => {
    const queue = makeQueue(1000, 100);
    const flood = Array.from({ length: 9 }, () => make("flood", 10));
    for (const sequence of flood) queue.add(sequence);
    expect(queue.displacedBy(make("small", 10))).toEqual([]);
    expect(queue.displacedBy(make("small", 30))).toEqual([flood[8], flood[7]]);
    expect(queue.displacedBy(make("small", 60))).toBeNull(); // more than it would leave to the other
    expect(queue.displacedBy(make("small", 101))).toBeNull();
  });

  it("takes nobody where nothing may wait", () => {
    expect(makeQueue(0).displacedBy(make("a"))).toBeNull();
  });
});
