import { describe, expect, it } from "vitest";
import { type Workload, planRequests, poissonArrivals } from "../../../load-tests/client/draw.ts";

const WORKLOAD: Workload = {
  promptTokens: { kind: "fixed", tokens: 8 },
  answerTokens: { kind: "fixed", tokens: 4 },
  adapters: { kind: "none" },
  vocabSize: 1000,
  seed: 5,
};
const COUNT = 20_000;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

it("draws the same requests for the same seed and others for others", () => {
  expect(planRequests(WORKLOAD, 5)).toEqual(planRequests(WORKLOAD, 5));
  expect(planRequests(WORKLOAD, 5)).not.toEqual(planRequests({ ...WORKLOAD, seed: 6 }, 5));
});

describe("lengths", () => {
  const answers = (answerTokens: Workload["answerTokens"]): number[] =>
    planRequests({ ...WORKLOAD, answerTokens, promptTokens: { kind: "fixed", tokens: 1 } }, COUNT).map(
      ({ maxTokens }) => maxTokens,
    );

  it("are uniform between their bounds, which both occur", () => {
    const drawn = answers({ kind: "uniform", min: 10, max: 20 });
    expect([Math.min(...drawn), Math.max(...drawn)]).toEqual([10, 20]);
    expect(mean(drawn)).toBeCloseTo(15, 0);
  });

  it("have the median and the deviation of a lognormal distribution, and its bound", () => {
    const drawn = answers({ kind: "lognormal", median: 100, sigma: 0.5, max: 400 });
    const logs = drawn.filter((value) => value < 400).map(Math.log);
    expect(Math.exp(mean(logs))).toBeGreaterThan(96);
    expect(Math.exp(mean(logs))).toBeLessThan(104);
    expect(Math.max(...drawn)).toBe(400);
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(1);
    const within = drawn.filter((value) => value > 100 * Math.exp(-0.5) && value < 100 * Math.exp(0.5)).length;
    expect(within / COUNT).toBeCloseTo(0.683, 1);
  });
});

describe("adapters", () => {
  const names = ["a", "b", "c", "d"];
  const drawn = (adapters: Workload["adapters"], count = COUNT): (string | null)[] =>
    planRequests({ ...WORKLOAD, adapters }, count).map(({ adapter }) => adapter);

  it("are none, one, or each in turn", () => {
    expect(drawn({ kind: "none" }, 2)).toEqual([null, null]);
    expect(drawn({ kind: "one", name: "x" }, 2)).toEqual(["x", "x"]);
    expect(drawn({ kind: "each", names }, 6)).toEqual(["a", "b", "c", "d", "a", "b"]);
  });

  it("are as frequent as Zipf's law says", () => {
    const all = drawn({ kind: "zipf", names, exponent: 1 });
    const harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4;
    for (const [index, name] of names.entries())
      expect(all.filter((one) => one === name).length / COUNT, name).toBeCloseTo(1 / (index + 1) / harmonic, 1.5);
  });
});

it("shares as many beginnings as there are groups, within the prompt's length", () => {
  const requests = planRequests({ ...WORKLOAD, prefix: { tokens: 6, groups: 3 } }, 100);
  expect(new Set(requests.map(({ promptIds }) => promptIds.slice(0, 6).join()))).toHaveLength(3);
  expect(new Set(requests.map(({ promptIds }) => promptIds.slice(6).join())).size).toBeGreaterThan(90);
  for (const { promptIds } of requests) expect(promptIds).toHaveLength(8);
});

it("lets requests arrive at the wanted rate, with exponential gaps", () => {
  const arrivals = poissonArrivals(COUNT, 50, 3);
  const gaps = arrivals.slice(1).map((at, index) => at - (arrivals[index] ?? NaN));
  expect(mean(gaps)).toBeCloseTo(1 / 50, 3);
  // Of an exponential distribution e⁻¹ lies above the mean.
  expect(gaps.filter((gap) => gap > 1 / 50).length / gaps.length).toBeCloseTo(Math.exp(-1), 1.5);
});
