import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chunkAt } from "../../../src/engine/chunks.ts";
import { checkSpec } from "../../../src/engine/sequence-spec.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { makeScheduler, ones, makeSequence, admitAll, runStep } from "../../helpers/engine/scheduling.ts";

describe("chunks", () => {
  it("end at multiples of 64 up to position 2048, then of 32, and at the end of the prompt, nowhere else", () => {
    const wholes = [
      ...Array.from({ length: 32 }, (_, i) => 64 * (i + 1)),
      ...[...Array(60).keys()].map((i) => 2080 + 32 * i),
    ];
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3900 }), (numPrompt) => {
        const ends: number[] = [];
        for (let past = 0; past < numPrompt;) {
          const chunk = chunkAt(numPrompt, past);
          past += chunk.length;
          ends.push(past);
          expect(chunk.isLast).toBe(past === numPrompt);
        }
        expect(ends).toEqual([...wholes.filter((end) => end < numPrompt), numPrompt]);
      }),
    );
  });
});

describe("refusing at the door", () => {
  const limits = { vocabSize: 40, maxModelLen: 100 };

  it.each([
    ["a context longer than the model's", sequenceSpec(1, ones(97)), "context_length_exceeded"],
    ["an empty prompt", sequenceSpec(1, []), "invalid_request"],
    ["a token outside the vocabulary", sequenceSpec(1, [40]), "invalid_request"],
    ["a negative token", sequenceSpec(1, [-1]), "invalid_request"],
    ["a stop id outside the vocabulary", sequenceSpec(1, [1], { stopIds: [400] }), "invalid_request"],
    ["a fractional max_tokens", sequenceSpec(1, [1], { maxTokens: 1.5 }), "invalid_request"],
    ["an infinite max_tokens", sequenceSpec(1, [1], { maxTokens: Infinity }), "invalid_request"],
  ])("refuses %s", (_, spec, code) => {
    expect(() => checkSpec(spec, limits)).toThrow(expect.objectContaining({ code }));
  });

  it("takes a context of exactly the model's length", () => {
    expect(() => checkSpec(sequenceSpec(1, ones(96)), limits)).not.toThrow();
  });

  it("refuses what could never fit into the cache, and lets wait what does not fit now", () => {
    const scheduler = makeScheduler({}, 100);
    expect(() => scheduler.add(makeSequence(1, 97), 0)).toThrow(
      expect.objectContaining({ code: "insufficient_memory" }),
    );
    scheduler.add(makeSequence(2, 60), 0);
    expect(admitAll(scheduler)).toEqual([2]);
    scheduler.add(makeSequence(3, 60), 0);
    expect(admitAll(scheduler)).toEqual([]);
    expect(scheduler.numWaiting).toBe(1);
    scheduler.remove(scheduler.get(2)!); // it was added above
    expect(admitAll(scheduler)).toEqual([3]);
  });

  it("bounds the queue by sequences and by prompt tokens, not counting what starts at once", () => {
    const overloaded = expect.objectContaining({ code: "overloaded", details: { retryAfterSeconds: 1 } });
    const byCount = makeScheduler({ maxNumSeqs: 1, maxQueue: 2 });
    for (const id of [1, 2, 3]) {
      byCount.add(makeSequence(id, 5), 0);
      admitAll(byCount);
    }
    expect(() => byCount.add(makeSequence(4, 5), 0)).toThrow(overloaded);
    const byTokens = makeScheduler({ maxNumSeqs: 1, maxQueueTokens: 10 });
    byTokens.add(makeSequence(1, 50), 0);
    admitAll(byTokens);
    byTokens.add(makeSequence(2, 6), 0);
    expect(() => byTokens.add(makeSequence(3, 5), 0)).toThrow(overloaded);
    byTokens.add(makeSequence(4, 4), 0);
    expect(byTokens.numWaiting).toBe(2);
  });
});

describe("admission", () => {
  it("is first come first served within a tenant and goes round between tenants", () => {
    const scheduler = makeScheduler({ maxNumSeqs: 1 });
    const arrivals: [number, string][] = [
      [1, "a"],
      [2, "a"],
      [3, "a"],
      [4, "b"],
      [5, "c"],
      [6, "b"],
    ];
    for (const [id, tenant] of arrivals) scheduler.add(makeSequence(id, 5, { tenant }), 0);
    const order: number[] = [];
    for (let admitted = admitAll(scheduler); admitted.length > 0; admitted = admitAll(scheduler)) {
      order.push(...admitted);
      scheduler.remove(scheduler.get(admitted[0]!)!); // just admitted
    }
    expect(order).toEqual([1, 4, 5, 2, 6, 3]);
  });

  it("lets nobody overtake a large request that waits for its room", () => {
    const scheduler = makeScheduler({}, 100);
    scheduler.add(makeSequence(1, 50), 0);
    expect(admitAll(scheduler)).toEqual([1]);
    scheduler.add(makeSequence(2, 90), 0);
    scheduler.add(makeSequence(3, 5, { tenant: "other" }), 0);
    expect(admitAll(scheduler)).toEqual([]);
    scheduler.remove(scheduler.get(1)!); // it was added above
    expect(admitAll(scheduler)).toEqual([2]);
  });

  it("gives a background sequence a row only while no row is in use and nothing waits", () => {
    const scheduler = makeScheduler({ maxNumSeqs: 2 });
    scheduler.add(makeSequence(1, 5), 0);
    expect(admitAll(scheduler)).toEqual([1]);
    for (const id of [2, 3]) scheduler.add(makeSequence(id, 5, { isBackground: true, maxTokens: 0 }), 0);
    scheduler.add(makeSequence(4, 5), 0);
    expect(admitAll(scheduler)).toEqual([4]); // a row is free for it
    scheduler.remove(scheduler.get(1)!); // it was added above
    expect(admitAll(scheduler)).toEqual([]);
    scheduler.add(makeSequence(5, 5), 0);
    scheduler.remove(scheduler.get(4)!);
    expect(admitAll(scheduler)).toEqual([5]);
    scheduler.remove(scheduler.get(5)!);
    expect(admitAll(scheduler)).toEqual([2]); // one at a time
    expect(scheduler.numWaiting).toBe(0);
    scheduler.remove(scheduler.get(2)!);
    expect(admitAll(scheduler)).toEqual([3]);
    scheduler.remove(scheduler.get(3)!);
    expect([scheduler.isIdle, runStep(scheduler)]).toEqual([true, "idle"]);
  });

  it("forgets a cancelled sequence in every state", () => {
    const scheduler = makeScheduler({ maxNumSeqs: 2 });
    for (const id of [1, 2, 3]) scheduler.add(makeSequence(id, 5), 0);
    admitAll(scheduler);
    runStep(scheduler); // 1 decodes, 2 prefills, 3 waits
    for (const id of [1, 2, 3]) scheduler.remove(scheduler.get(id)!); // they were added above
    expect([scheduler.numRunning, scheduler.numWaiting, [...scheduler.sequences()].length]).toEqual([0, 0, 0]);
    expect(runStep(scheduler)).toBe("idle");
  });

  it("finds the overdue, waiting and running", () => {
    const scheduler = makeScheduler({ maxNumSeqs: 1 });
    for (const [id, deadlineMs] of [
      [1, 50],
      [2, 60],
      [3, null],
    ] as const)
      scheduler.add(makeSequence(id, 5, { deadlineMs }), 0);
    admitAll(scheduler);
    expect(scheduler.overdue(49).map(({ id }) => id)).toEqual([]);
    expect(scheduler.overdue(60).map(({ id }) => id)).toEqual([1, 2]);
  });

  it("gives up what waits beside others and would hardly make it, but not for having come with little time", () => {
    const scheduler = makeScheduler({ maxNumSeqs: 1 });
    // Most take 1 s, some 5 s.
    for (let i = 0; i < 64; i++) {
      const decodeSeconds = i % 8 === 0 ? 5 : 1;
      const one = makeSequence(1000 + i, 5);
      one.numOutputTokens = 10;
      scheduler.noteFinished(one, {
        id: 1,
        reason: "length",
        queueSeconds: 0,
        adapterSeconds: 0,
        prefillSeconds: 0,
        decodeSeconds,
      });
    }
    for (const [id, deadlineMs] of [
      [1, null], // has the row
      [2, 20_000], // came with time enough
      [3, 3000], // did not
      [4, 600],
    ] as const)
      scheduler.add(makeSequence(id, 5, { deadlineMs, maxTokens: 10 }), 0);
    admitAll(scheduler);
    expect(scheduler.overdue(0).map(({ id }) => id)).toEqual([4]);
    scheduler.remove(scheduler.get(4)!); // it was added above
    expect(scheduler.overdue(1000).map(({ id }) => id)).toEqual([]);
    expect(scheduler.overdue(18_000).map(({ id }) => id)).toEqual([2, 3]);
    scheduler.remove(scheduler.get(3)!); // nobody else waits
    expect(scheduler.overdue(18_000).map(({ id }) => id)).toEqual([]);
  });
});
