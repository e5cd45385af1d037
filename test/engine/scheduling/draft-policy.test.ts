/** How many tokens are drafted after what came of earlier drafts. */
import { expect, it } from "vitest";
import { DraftPolicy } from "../../../src/engine/scheduling/draft-policy.ts";

const afterDrafts = (matchLength: number | null, ...outcomes: readonly [number, number][]): DraftPolicy => {
  const policy = new DraftPolicy();
  for (const [numDrafted, numAccepted] of outcomes) {
    policy.numWorth(matchLength, 8);
    policy.note(numDrafted, numAccepted);
  }
  return policy;
};
const times = (count: number, outcome: [number, number]): [number, number][] =>
  Array.from({ length: count }, () => outcome);

it("drafts more the longer the match, and never more than it may", () => {
  const lengths = [2, 3, 5, 8, 16].map((matchLength) => new DraftPolicy().numWorth(matchLength, 8));
  expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
  expect(new Set(lengths).size).toBeGreaterThan(2);
  expect(lengths[0]).toBeGreaterThan(0);
  expect(new DraftPolicy().numWorth(16, 2)).toBe(2);
  expect(new DraftPolicy().numWorth(16, 0)).toBe(0);
});

it.each([2, 12, null])(
  "drafts all after drafts that were right, and none after misses (match of %j)",
  (matchLength) => {
    expect(afterDrafts(matchLength, ...times(20, [8, 8])).numWorth(matchLength, 8)).toBe(8);
    const missed = afterDrafts(matchLength, ...times(20, [1, 0]));
    expect(missed.numWorth(matchLength, 8)).toBe(0);
    // It tries again after a while.
    const tries = Array.from({ length: 100 }, () => missed.numWorth(matchLength, 8));
    expect(tries.at(-1)).toBeGreaterThan(0);
  },
);

it("keeps kinds of drafts apart", () => {
  const policy = afterDrafts(2, ...times(20, [1, 0]));
  expect(policy.numWorth(2, 8)).toBe(0);
  expect(policy.numWorth(12, 8)).toBe(new DraftPolicy().numWorth(12, 8));
  expect(policy.numWorth(null, 8)).toBe(new DraftPolicy().numWorth(null, 8));
});

it("guesses with a model as its time and its share of right guesses allow, and not at all where it cannot pay", () => {
  const counts = [0, 0.1, 0.2, 0.4, 0.6, 1].map((cost) => new DraftPolicy().numWorthGuessing(cost, 8));
  expect(counts).toEqual([...counts].sort((a, b) => b - a));
  expect(counts[0]).toBeGreaterThan(counts[2] ?? NaN);
  expect(counts.at(-1)).toBe(0);
  const policy = new DraftPolicy();
  const note = (outcome: readonly [number, number]): void => {
    policy.numWorthGuessing(0.2, 8);
    policy.note(...outcome);
  };
  for (let i = 0; i < 20; i++) note([8, 8]);
  expect(policy.numWorthGuessing(0.2, 8)).toBe(8);
  for (let i = 0; i < 20; i++) note([8, 0]);
  expect(policy.numWorthGuessing(0.2, 8)).toBe(0);
  expect(policy.numWorth(2, 8)).toBe(new DraftPolicy().numWorth(2, 8));
});
