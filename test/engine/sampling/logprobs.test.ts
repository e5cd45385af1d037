/** Log-probabilities are of the raw row: those of the token, of the likeliest, and of a prompt's tokens. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { promptLogprob, tokenLogprob } from "../../../src/engine/sampling/logprobs.ts";
import { createSamplerScratch } from "../../../src/engine/sampling/sampler.ts";
import { V, whole, logitsRow } from "../../helpers/engine/whole-row.ts";

describe("a prompt's log-probability", () => {
  it("has the rank of vLLM: how many tokens are at least as likely", () => {
    fc.assert(
      fc.property(logitsRow, fc.integer({ min: 0, max: V - 1 }), (logits, id) => {
        const row = whole(logits);
        const { rank, ...rest } = promptLogprob(row, id, 2, createSamplerScratch(V));
        expect(rank).toBe(logits.filter((value) => value >= logits[id]!).length);
        expect(rest).toEqual(tokenLogprob(row, id, 2, createSamplerScratch(V)));
      }),
    );
  });
});

describe("log-probabilities", () => {
  it("are the log-softmax of the raw row, likeliest first", () => {
    fc.assert(
      fc.property(
        logitsRow,
        fc.integer({ min: 0, max: V - 1 }),
        fc.integer({ min: 0, max: V + 3 }),
        (row, id, numTop) => {
          const norm = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
          const found = tokenLogprob(whole(row), id, numTop, createSamplerScratch(V))!;
          const order = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, numTop);
          expect(found.logprob).toBeCloseTo(row[id]! - norm, 10);
          expect(found.topIds).toEqual(order);
          for (const [at, top] of order.entries()) expect(found.topLogprobs[at]).toBeCloseTo(row[top]! - norm, 10);
        },
      ),
    );
  });

  it("sum to one over the vocabulary, for large logits too", () => {
    const row = whole(Array.from({ length: V }, (_, i) => 3e4 + i));
    const { topLogprobs } = tokenLogprob(row, 0, V, createSamplerScratch(V))!;
    expect(topLogprobs.reduce((sum, value) => sum + Math.exp(value), 0)).toBeCloseTo(1, 12);
  });

  it("fail on NaN", () => {
    expect(() => tokenLogprob(whole([0, NaN]), 0, 1, createSamplerScratch(2))).toThrow(/logit/);
  });
});
