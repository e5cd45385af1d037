import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SamplingParams } from "../../../src/engine/protocol.ts";
import { chooseToken, createSamplerScratch } from "../../../src/engine/sampling/sampler.ts";
import { createSamplingState, recordToken } from "../../../src/engine/sampling/sampling-state.ts";
import { GREEDY } from "../../../src/engine/engine.ts";
import { V, whole, logitsRow } from "../../helpers/engine/whole-row.ts";

/**
 * Processed logits, as a dense and literal reading of vLLM's order: allowed ids, bad words, masks, bias, repetition,
 * frequency, presence.
 */
function referenceLogits(
  logits: readonly number[],
  params: SamplingParams,
  prompt: readonly number[],
  output: readonly number[],
  masked: readonly number[],
): number[] {
  return logits.map((raw, id) => {
    const isForbidden = params.badWords.some(
      (word) =>
        word.at(-1) === id &&
        ` ${output.join(" ")}`.endsWith(
          word
            .slice(0, -1)
            .map((one) => ` ${one}`)
            .join(""),
        ),
    );
    const isAllowed = params.allowedIds === null || params.allowedIds.includes(id);
    let value = masked.includes(id) || isForbidden || !isAllowed ? -Infinity : raw;
    for (const [biased, bias] of params.logitBias) if (biased === id) value += bias;
    const count = output.filter((other) => other === id).length;
    if (prompt.includes(id) || count > 0)
      value = value > 0 ? value / params.repetitionPenalty : value * params.repetitionPenalty;
    value -= params.frequencyPenalty * count;
    return count > 0 ? value - params.presencePenalty : value;
  });
}

/** The distribution drawn from: temperature, min_p, top_k, top_p by sorting, the lower id first among equals. */
function referenceDistribution(logits: readonly number[], params: SamplingParams): number[] {
  const softmax = (row: readonly number[]): number[] => {
    const weights = row.map((value) => Math.exp(value - Math.max(...row)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  let row = logits.map((value) => value / params.temperature);
  const best = Math.max(...softmax(row));
  row = softmax(row).map((p, id) => (p < params.minP * best ? -Infinity : row[id]!));
  const order = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b);
  if (params.topK > 0) for (const id of order.slice(params.topK)) row[id] = -Infinity;
  const probabilities = softmax(row);
  let before = 0;
  for (const id of order) {
    if (before >= params.topP) row[id] = -Infinity;
    before += probabilities[id]!;
  }
  return softmax(row);
}

const ids = fc.array(fc.integer({ min: 0, max: V - 1 }), { maxLength: 8 });

function choose(logits: readonly number[], overrides: Partial<SamplingParams>, masked: readonly number[] = []): number {
  const state = createSamplingState({ ...GREEDY, ...overrides }, new Int32Array());
  return chooseToken(whole(logits), state, masked, createSamplerScratch(logits.length))!; // a whole row is enough
}

/** Counts of many draws with one random stream. */
function histogram(logits: readonly number[], params: SamplingParams, numDraws: number): number[] {
  const state = createSamplingState(params, new Int32Array());
  const scratch = createSamplerScratch(logits.length);
  const row = whole(logits);
  const counts = Array.from(logits, () => 0);
  for (let i = 0; i < numDraws; i++) counts[chooseToken(row, state, [], scratch)!]!++; // an id of the row
  return counts;
}

describe("greedy choice", () => {
  it("is the first of the largest logits after bias, penalties and masks", () => {
    const penalties = fc.record({
      repetitionPenalty: fc.constantFrom(1, 1.3, 0.8),
      presencePenalty: fc.constantFrom(0, 1.5, -0.5),
      frequencyPenalty: fc.constantFrom(0, 0.7, -0.3),
      logitBias: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: V - 1 }), fc.integer({ min: -100, max: 100 })), {
        selector: ([id]) => id,
        maxLength: 3,
      }),
      allowedIds: fc.option(
        ids.map((list) => Int32Array.from([...list, 5])),
        { nil: null },
      ),
      badWords: fc.array(fc.array(fc.integer({ min: 0, max: V - 1 }), { minLength: 1, maxLength: 3 }), {
        maxLength: 3,
      }),
    });
    fc.assert(
      fc.property(logitsRow, penalties, ids, ids, ids, (logits, overrides, prompt, output, masked) => {
        const params = { ...GREEDY, ...overrides };
        const state = createSamplingState(params, Int32Array.from(prompt));
        for (const id of output) recordToken(state, id);
        const row = whole(logits);
        const expected = referenceLogits(logits, params, prompt, output, masked);
        const scratch = createSamplerScratch(V);
        if (Math.max(...expected) === -Infinity) {
          const refusal = expect.objectContaining({ code: "invalid_request" }) as Error;
          expect(() => chooseToken(row, state, masked, scratch)).toThrow(refusal);
          return;
        }
        const chosen = chooseToken(row, state, masked, scratch)!;
        // float32 rounding may make a near tie of two processed logits one.
        expect(expected[chosen]).toBeGreaterThanOrEqual(Math.max(...expected) - 1e-5);
        expect([...row.logits]).toEqual(logits); // the row is itself again
      }),
      { numRuns: 300 },
    );
  });

  it("takes the lower id of two equal logits", () => {
    expect(choose([1, 3, 3, 2], {})).toBe(1);
  });

  it("finds the first largest logit, and NaN, at every place of rows of every length", () => {
    for (let length = 1; length <= 12; length++)
      for (let at = 0; at < length; at++) {
        const row = Float32Array.from({ length }, (_, i) => (i < at ? -1 - i : i % 2));
        row[at] = 1;
        expect(choose([...row], {}), `${length} at ${at}`).toBe(at);
        row[at] = NaN;
        expect(() => choose([...row], {}), `${length} at ${at}`).toThrow(/NaN/);
      }
  });

  it("holds for temperatures so small that dividing by them means nothing", () => {
    expect(choose([1, 3, 3.0001, 2], { temperature: 1e-9 })).toBe(2);
  });

  it("holds for repetition penalties so small that dividing by them leaves no number", () => {
    // A request with the smallest penalty that HTTP admits ended with an internal error.
    for (const temperature of [0, 1e-3, 1, 2]) {
      const state = createSamplingState({ ...GREEDY, temperature, repetitionPenalty: 5e-324 }, Int32Array.of(2));
      expect(chooseToken(whole([1, 9, 0.5, -4]), state, [], createSamplerScratch(4))).toBe(2);
    }
  });

  it("never chooses a masked id, even with the largest bias", () => {
    expect(choose([1, 9, 2], { logitBias: [[1, 100]] }, [1])).toBe(2);
  });

  it.each([
    ["NaN", [1, NaN, 2]],
    ["NaN at the start", [NaN, 1, 2]],
    ["infinity", [1, Infinity, 2]],
    ["nothing but minus infinity", [-Infinity, -Infinity]],
  ])("fails on %s", (_, logits) => {
    for (const temperature of [0, 1])
      expect(() => choose(logits, { temperature })).toThrow(expect.objectContaining({ code: "internal_error" }));
  });
});

describe("what may be chosen", () => {
  it("is drawn from alone, in the proportions of the whole row", () => {
    const row = [2, 1.5, 1.5, 1, 0, 0, -1, -2, -3, -8];
    const params = { ...GREEDY, temperature: 1, seed: 3, allowedIds: Int32Array.of(1, 3, 6), badWords: [[6]] };
    const [first, second] = [Math.exp(1.5), Math.exp(1)];
    const counts = histogram(row, params, 4000);
    expect(counts.map((count) => count > 0)).toEqual(row.map((_, id) => id === 1 || id === 3));
    expect(counts[1]! / 4000).toBeCloseTo(first / (first + second), 1);
    for (const more of [{ topK: 5 }, { topP: 0.99 }, { minP: 0.01 }])
      expect(
        histogram(row, { ...params, ...more }, 200).every((count, id) => count === 0 || id === 1 || id === 3),
      ).toBe(true);
  });

  it("lets a word's last token be chosen where the others are not before it", () => {
    // Of the prompt nothing counts.
    const state = createSamplingState({ ...GREEDY, badWords: [[1, 2]] }, Int32Array.of(1));
    const scratch = createSamplerScratch(3);
    expect(chooseToken(whole([0, 1, 2]), state, [], scratch)).toBe(2);
    recordToken(state, 1);
    expect(chooseToken(whole([0, 1, 2]), state, [], scratch)).toBe(1);
    recordToken(state, 0);
    expect(chooseToken(whole([0, 1, 2]), state, [], scratch)).toBe(2);
  });
});

describe("drawing", () => {
  const logits = [2, 1.5, 1.5, 1, 0, 0, -1, -2, -3, -8];
  const cases: [string, Partial<SamplingParams>][] = [
    ["temperature alone", { temperature: 1 }],
    ["a high temperature", { temperature: 3 }],
    ["top_k", { temperature: 1, topK: 2 }],
    ["top_p", { temperature: 1, topP: 0.8 }],
    ["min_p", { temperature: 1, minP: 0.3 }],
    ["min_p, top_k and top_p together", { temperature: 1.5, minP: 0.05, topK: 6, topP: 0.9 }],
    ["top_k beyond the vocabulary", { temperature: 1, topK: 99 }],
  ];

  it.each(cases)("follows the reference distribution with %s", (_, overrides) => {
    const numDraws = 40_000;
    const params = { ...GREEDY, ...overrides, seed: 11 };
    const expected = referenceDistribution(logits, params);
    const counts = histogram(logits, params, numDraws);
    const possible = expected.filter((p) => p > 0);
    const chiSquare = expected.reduce((sum, p, id) => {
      if (p === 0) expect(counts[id]).toBe(0);
      return p === 0 ? sum : sum + (counts[id]! - p * numDraws) ** 2 / (p * numDraws);
    }, 0);
    // At most 9 degrees of freedom: 0.1 % lie above 27.9.
    expect(chiSquare).toBeLessThan(possible.length === 1 ? 1e-9 : 27.9);
  });

  it("only ever gives what the reference allows", () => {
    const overrides = fc.record({
      temperature: fc.double({ min: 0.05, max: 5, noNaN: true }),
      topK: fc.integer({ min: 0, max: V + 2 }),
      topP: fc.double({ min: 0, max: 1, noNaN: true }),
      minP: fc.double({ min: 0, max: 1, noNaN: true }),
      seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    });
    fc.assert(
      fc.property(logitsRow, overrides, (row, some) => {
        const params = { ...GREEDY, ...some };
        const chosen = choose(row, params);
        // Cuts at the very edge may round either way.
        const loose = { ...params, topP: params.topP + 1e-9, minP: params.minP * (1 - 1e-9) };
        const allowed = referenceDistribution(row, loose);
        expect(allowed[chosen]! > 0 || chosen === row.indexOf(Math.max(...row))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("is greedy with top_k 1, a vanishing top_p, or min_p 1", () => {
    for (const overrides of [{ topK: 1 }, { topP: 0 }, { topP: 1e-12 }, { minP: 1 }, { minP: 2 }])
      for (let seed = 0; seed < 50; seed++)
        expect(choose([1, 4, 3.9, 3.8], { temperature: 2, seed, ...overrides })).toBe(1);
  });

  it("gives the same tokens for the same seed, and others for another", () => {
    const draws = (seed: number): number[] => {
      const state = createSamplingState({ ...GREEDY, temperature: 1, seed }, new Int32Array());
      const scratch = createSamplerScratch(logits.length);
      return Array.from({ length: 50 }, () => chooseToken(whole(logits), state, [], scratch)!);
    };
    expect(draws(3)).toEqual(draws(3));
    expect(draws(3)).not.toEqual(draws(4));
  });

  it("keeps streams apart: what a neighbour draws in between changes nothing", () => {
    const params = { ...GREEDY, temperature: 1, topP: 0.9, seed: 3 };
    const scratch = createSamplerScratch(logits.length);
    const alone = createSamplingState(params, new Int32Array());
    const beside = createSamplingState(params, new Int32Array());
    const other = createSamplingState({ ...params, seed: 9, topK: 3 }, new Int32Array());
    for (let i = 0; i < 50; i++) {
      const row = whole(logits);
      chooseToken(row, other, [0], scratch);
      expect(chooseToken(row, beside, [], scratch)).toBe(
        chooseToken(row, alone, [], createSamplerScratch(logits.length)),
      );
    }
  });
});
