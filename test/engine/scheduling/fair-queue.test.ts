import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FairQueue } from "../../../src/engine/scheduling/fair-queue.ts";

/** Takes `count` turns, each at the cost that `costOf` gives, and names them. */
function takeTurns(turns: FairQueue, count: number, costOf: (key: string) => number): string[] {
  return Array.from({ length: count }, () => {
    const key = turns.next();
    if (key === null) return "";
    turns.take(key, costOf(key));
    return key;
  });
}

function filled(counts: Record<string, number>): FairQueue {
  const turns = new FairQueue();
  for (const [key, count] of Object.entries(counts)) for (let i = 0; i < count; i++) turns.add(key);
  return turns;
}

describe("turns", () => {
  it("go round where all cost the same, in the order of arrival", () => {
    expect(takeTurns(filled({ a: 3, b: 2, c: 1 }), 7, () => 5).join("")).toBe("abcaba");
  });

  it("go by tokens: who asks for ten times as much comes a tenth as often", () => {
    const order = takeTurns(filled({ large: 20, small: 200 }), 110, (key) => (key === "large" ? 100 : 10));
    expect(order.filter((key) => key === "large")).toHaveLength(10);
  });

  it("come at once to a newcomer, however large its first request and however long the others' queue", () => {
    const turns = filled({ busy: 200 });
    takeTurns(turns, 50, () => 1);
    turns.add("new");
    expect(takeTurns(turns, 2, (key) => (key === "new" ? 4000 : 1))[0]).toBe("new");
    turns.add("new"); // it has had its share for a while
    expect(takeTurns(turns, 140, () => 1)).not.toContain("new");
  });

  it("give nobody a claim for the time it asked for nothing", () => {
    const turns = filled({ busy: 200 });
    takeTurns(turns, 100, () => 10);
    for (let i = 0; i < 50; i++) turns.add("idle till now");
    const order = takeTurns(turns, 40, () => 10);
    expect(order.filter((key) => key === "busy")).toHaveLength(20);
  });

  it("charge what comes later, and start anew when nobody waits", () => {
    const turns = filled({ a: 3, b: 3 });
    takeTurns(turns, 2, () => 1);
    turns.charge("a", 1);
    expect(takeTurns(turns, 2, () => 1).join("")).toBe("ba");
    turns.charge("a", 1000);
    takeTurns(turns, 2, () => 1);
    turns.add("a");
    turns.add("b");
    expect(takeTurns(turns, 2, () => 1).join("")).toBe("ab");
  });

  it("keep what every flow has had within one request of the others', whichever flows wait", () => {
    const costs = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(costs, (costOf) => {
        const keys = costOf.map((_, i) => String(i));
        const turns = filled(Object.fromEntries(keys.map((key) => [key, 400])));
        const had = new Map(keys.map((key) => [key, 0]));
        for (let i = 0; i < 300; i++) {
          const key = turns.next()!; // 400 wait of each
          const cost = costOf[Number(key)]!; // one for each key
          turns.take(key, cost);
          had.set(key, had.get(key)! + cost); // every key is there
          expect(Math.max(...had.values()) - Math.min(...had.values())).toBeLessThanOrEqual(Math.max(...costOf));
        }
      }),
      { numRuns: 30 },
    );
  });
});
