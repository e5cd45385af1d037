/** How a budget of bytes is spent on matrices, compared with every possible choice. */
import { describe, expect, it } from "vitest";
import { type Form, leastBytes, spendBudget } from "../../../../src/base/build/budget/spend-budget.ts";
import { noise } from "../../../helpers/models/checkpoints.ts";

const MATRICES = 5;

/** Random matrices whose forms differ by the same number of bytes, and save less and less. */
function evenForms(next: () => number): readonly (readonly Form[])[] {
  return Array.from({ length: MATRICES }, () => {
    const savings = [next(), next()].map(Math.abs).sort((a, b) => b - a);
    const [first = 0, second = 0] = savings;
    return [first + second, second, 0].map((loss, i) => ({ bytes: 10 * (i + 1), loss }));
  });
}

const sumOf = (matrices: readonly (readonly Form[])[], choice: readonly number[], key: keyof Form): number =>
  matrices.reduce((sum, forms, i) => sum + (forms[choice[i] ?? 0]?.[key] ?? 0), 0);

function leastLoss(matrices: readonly (readonly Form[])[], budget: number): number {
  let least = Infinity;
  for (let code = 0; code < 3 ** MATRICES; code++) {
    const choice = matrices.map((_, i) => Math.floor(code / 3 ** i) % 3);
    if (sumOf(matrices, choice, "bytes") <= budget) least = Math.min(least, sumOf(matrices, choice, "loss"));
  }
  return least;
}

describe("spendBudget", () => {
  it("loses as little as the best of all choices, where all steps have one size", () => {
    const next = noise(3);
    for (const budget of [50, 59, 60, 85, 110, 150, 1000]) {
      const matrices = evenForms(next);
      const choice = spendBudget(matrices, budget);
      expect(sumOf(matrices, choice, "bytes")).toBeLessThanOrEqual(budget);
      expect(sumOf(matrices, choice, "loss")).toBeCloseTo(leastLoss(matrices, budget), 12);
    }
  });

  it("never takes a form that is larger and loses no less, and passes over one that a larger form outdoes", () => {
    const useless = [
      { bytes: 10, loss: 1 },
      { bytes: 20, loss: 1 },
      { bytes: 30, loss: 0.99 },
      { bytes: 40, loss: 0 },
    ];
    expect(spendBudget([useless], 39)).toEqual([0]);
    expect(spendBudget([useless], 40)).toEqual([3]);
  });

  it("knows the least that it needs", () => {
    const forms = [
      { bytes: 8, loss: 0 },
      { bytes: 5, loss: 2 },
    ];
    expect(leastBytes([forms, forms])).toBe(10);
    expect(spendBudget([forms, forms], 13)).toEqual([0, 1]);
  });
});
