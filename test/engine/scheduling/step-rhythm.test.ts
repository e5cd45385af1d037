/** The order of prompt chunks and decode steps: neither waits long for the other. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { makeScheduler, makeSequence, admitAll, runStep } from "../../helpers/engine/scheduling.ts";

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

  it("joins short prompts that together make no more than one chunk, whichever rows decode", () => {
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
