import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Scheduler, type SchedulerLimits } from "../../../src/engine/scheduling/scheduler.ts";
import { chunkAt } from "../../../src/engine/chunks.ts";
import { Sequence } from "../../../src/engine/scheduling/sequence.ts";
import { checkSpec } from "../../../src/engine/sequence-spec.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { ToyRunner } from "../../helpers/engine/toy-runner.mjs";

const LIMITS: SchedulerLimits = { maxNumSeqs: 4, maxQueue: 100, maxQueueTokens: 100_000 };

function makeScheduler(limits: Partial<SchedulerLimits> = {}, maxTokens = 4096): Scheduler {
  const all = { ...LIMITS, ...limits };
  return new Scheduler(all, new ToyRunner({ numRows: all.maxNumSeqs, maxTokens }).kv);
}

/** A prompt of this length. */
const ones = (length: number): number[] => Array.from({ length }, () => 1);

function makeSequence(id: number, numPrompt: number, overrides: Parameters<typeof sequenceSpec>[2] = {}): Sequence {
  return new Sequence(sequenceSpec(id, ones(numPrompt), overrides), 0);
}

/** Starts all that fit; returns their ids. */
function admitAll(scheduler: Scheduler): number[] {
  const ids: number[] = [];
  for (let next = scheduler.takeAdmissible(); next !== null; next = scheduler.takeAdmissible()) {
    scheduler.start(next, 0);
    ids.push(next.id);
  }
  return ids;
}

/** Does what the loop does after a step, and names the step. */
function runStep(scheduler: Scheduler): string {
  const plan = scheduler.plan();
  if (plan === null) return "idle";
  if (plan.phase === "decode") {
    scheduler.noteDecoded();
    return `decode ${plan.sequences.map(({ id }) => id).join()}`;
  }
  const { sequence, chunk } = plan;
  scheduler.notePrefilled(sequence, chunk, 1);
  if (chunk.isLast) scheduler.startDecoding(sequence);
  return `prefill ${sequence.id} ${chunk.past}+${chunk.length}`;
}

describe("chunks", () => {
  it("end at multiples of 64 and at the end of the prompt, nowhere else", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), (numPrompt) => {
        const ends: number[] = [];
        for (let past = 0; past < numPrompt;) {
          const chunk = chunkAt(numPrompt, past);
          past += chunk.length;
          ends.push(past);
          expect(chunk.isLast).toBe(past === numPrompt);
        }
        expect(ends.slice(0, -1)).toEqual(ends.slice(0, -1).map((_, i) => 64 * (i + 1)));
        expect(ends.at(-1)).toBe(numPrompt);
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

describe("the rhythm of steps", () => {
  it("puts a decode step between any two chunks while rows decode", () => {
    const scheduler = makeScheduler();
    scheduler.add(makeSequence(1, 70), 0);
    admitAll(scheduler);
    const steps = [runStep(scheduler), runStep(scheduler)];
    scheduler.add(makeSequence(2, 150), 0);
    admitAll(scheduler);
    for (let i = 0; i < 7; i++) steps.push(runStep(scheduler));
    expect(steps).toEqual([
      "prefill 1 0+64",
      "prefill 1 64+6",
      "decode 1",
      "prefill 2 0+64",
      "decode 1",
      "prefill 2 64+64",
      "decode 1",
      "prefill 2 128+22",
      "decode 1,2",
    ]);
  });

  it("joins short prompts that together make no more than one chunk, whoever decodes", () => {
    const scheduler = makeScheduler({ maxNumSeqs: 8 });
    for (const id of [1, 2, 3, 4]) scheduler.add(makeSequence(id, 20), 0);
    admitAll(scheduler);
    const steps = Array.from({ length: 5 }, () => runStep(scheduler));
    for (const id of [5, 6, 7, 8]) scheduler.add(makeSequence(id, 20), 0);
    admitAll(scheduler);
    for (let i = 0; i < 6; i++) steps.push(runStep(scheduler));
    expect(steps).toEqual([
      "prefill 1 0+20",
      "prefill 2 0+20",
      "prefill 3 0+20",
      "prefill 4 0+20",
      "decode 1,2,3,4",
      "prefill 5 0+20",
      "prefill 6 0+20",
      "prefill 7 0+20",
      "decode 1,2,3,4,5,6,7",
      "prefill 8 0+20",
      "decode 1,2,3,4,5,6,7,8",
    ]);
  });

  it("never puts more than 1024 prompt tokens between two decode steps", () => {
    const scheduler = makeScheduler({ maxNumSeqs: 64 }, 2 ** 20);
    scheduler.add(makeSequence(0, 1), 0);
    admitAll(scheduler);
    runStep(scheduler);
    for (let id = 1; id < 64; id++) scheduler.add(makeSequence(id, 1000), 0);
    admitAll(scheduler);
    let numTokens = 0;
    for (let plan = scheduler.plan(); plan?.phase === "prefill"; plan = scheduler.plan()) {
      numTokens += plan.chunk.length;
      runStep(scheduler);
    }
    expect(numTokens).toBe(1000); // a second one would not be complete by then
  });

  it("does not hold up a short prompt behind a long one", () => {
    const scheduler = makeScheduler();
    scheduler.add(makeSequence(1, 640), 0);
    scheduler.add(makeSequence(2, 10), 0);
    admitAll(scheduler);
    expect(Array.from({ length: 4 }, () => runStep(scheduler))).toEqual([
      "prefill 2 0+10",
      "decode 2",
      "prefill 1 0+64",
      "decode 2",
    ]);
  });

  it("never starves anything, whatever arrives and leaves", () => {
    const arrival = fc.record({ numPrompt: fc.integer({ min: 1, max: 300 }), tenant: fc.constantFrom("a", "b", "c") });
    fc.assert(
      fc.property(
        fc.array(arrival, { minLength: 1, maxLength: 20 }),
        fc.infiniteStream(fc.nat(3)),
        (arrivals, dice) => {
          const scheduler = makeScheduler({ maxNumSeqs: 3 }, 1000);
          const left = new Map<number, number>();
          let numTokensSinceDecode = 0;
          for (let step = 0; step < 2000; step++) {
            const next = arrivals[left.size];
            if (next !== undefined && dice.next().value !== 0) {
              const id = left.size;
              left.set(id, 5);
              scheduler.add(makeSequence(id, next.numPrompt, { tenant: next.tenant }), 0);
            }
            admitAll(scheduler);
            const isAnyDecoding = [...scheduler.sequences()].some(
              ({ spec, numPrefilled }) => numPrefilled === spec.promptIds.length,
            );
            const plan = scheduler.plan();
            const name = runStep(scheduler);
            if (plan?.phase === "prefill") {
              if (isAnyDecoding && numTokensSinceDecode > 0)
                expect(numTokensSinceDecode + plan.chunk.length).toBeLessThanOrEqual(64 * 3); // a chunk for each row
              numTokensSinceDecode += plan.chunk.length;
            } else if (plan?.phase === "decode") {
              numTokensSinceDecode = 0;
              for (const sequence of plan.sequences) {
                left.set(sequence.id, left.get(sequence.id)! - 1); // set on arrival
                if (left.get(sequence.id) === 0) scheduler.remove(sequence);
              }
            } else if (left.size === arrivals.length) {
              expect(name).toBe("idle");
              expect([...left.values()].every((count) => count === 0)).toBe(true);
              return;
            }
          }
          throw new Error("some sequence never ended");
        },
      ),
    );
  });
});
