/**
 * Draws from rows as long as vocabularies are, where most of the row is never weighed, against the row sorted and
 * weighed whole.
 */
import { describe, expect, it } from "vitest";
import { BLOCK_SIZE, blocksOf } from "../../../src/engine/sampling/blocks.ts";
import { createDrawScratch, drawToken } from "../../../src/engine/sampling/draw.ts";
import { boundMasses, createMassBounds, isAheadLess } from "../../../src/engine/sampling/mass-bounds.ts";
import { createBuckets, sumWeights } from "../../../src/engine/sampling/weight-sums.ts";
import { nextNormal, seedRandom } from "../../../src/tensor/random.ts";

const V = 4000;

/** Logits with this spread, some of them lifted far above the others. */
function randomRow(spread: number, numLifted: number): Float32Array {
  const random = seedRandom(17);
  const row = Float32Array.from({ length: V }, () => nextNormal(random) * spread);
  for (let i = 0; i < numLifted; i++) row[(i * 7919) % V] = 12 + spread * 4 - i / 3;
  return row;
}

const ROWS: readonly (readonly [string, Float32Array])[] = [
  ["flat", randomRow(1.5, 0)],
  ["peaked", randomRow(2, 20)],
  ["below zero", randomRow(1.5, 5).map((logit) => logit - 60)],
  ["constant", new Float32Array(V).fill(-0.75)],
  ["of few values", randomRow(2, 3).map(Math.round)],
];

/** Order, weights and the size of the nucleus of a row, as written down. */
function sorted(row: Float32Array, temperature: number, topP: number) {
  const order = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b); // indices of the row
  const max = row[order[0]!]!;
  const weights = order.map((id) => Math.exp((row[id]! - max) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let mass = 0;
  const size = 1 + weights.findIndex((weight) => (mass += weight) >= topP * total);
  return { order, weights, max, total, size: topP < 1 ? size : V };
}

const whole = (logits: Float32Array) =>
  blocksOf({ kind: "whole", logits, maxima: null, blockSize: BLOCK_SIZE }, new Float32Array(V));

describe.each(ROWS)("a row that is %s", (_, row) => {
  it.each([
    [1, 1],
    [0.8, 0.95],
    [1.3, 0.5],
    [0.7, 0.02],
  ])("at temperature %d and top_p %d gives every tenth of the mass a tenth of the draws", (temperature, topP) => {
    const { order, weights, max, size } = sorted(row, temperature, topP);
    const rankOf = new Map(order.map((id, rank) => [id, rank]));
    const sums = weights.slice(0, size);
    for (let i = 1; i < size; i++) sums[i]! += sums[i - 1]!;
    const mass = sums.at(-1)!;
    const random = seedRandom(3);
    const scratch = createDrawScratch(V);
    const scaling = { max, scale: 1 / temperature, limit: 708 };
    const numDraws = 800;
    const blocks = whole(row);
    const expected = new Float64Array(10);
    sums.forEach((sum, rank) => (expected[tenthOf(sum, weights[rank]!, mass)]! += weights[rank]! / mass));
    const counts = new Float64Array(10);
    for (let i = 0; i < numDraws; i++) {
      const rank = rankOf.get(drawToken(blocks, scaling, topP, random, scratch))!; // an id of the row
      if (rank >= size) expect(rank).toBeLessThan(size); // one assertion a draw would be most of the time
      counts[tenthOf(sums[rank]!, weights[rank]!, mass)]!++;
    }
    const chiSquare = counts.reduce(
      (sum, count, i) =>
        expected[i] === 0 ? sum : sum + (count - expected[i]! * numDraws) ** 2 / (expected[i]! * numDraws),
      0,
    );
    expect(chiSquare).toBeLessThan(27.9); // 0.1 % of 9 degrees of freedom lie above
  });

  it("is summed to 1e-11, and bounded on the right side", () => {
    const { order, max, weights, total } = sorted(row, 0.9, 1);
    const scaling = { max, scale: 1 / 0.9, limit: 708 };
    expect(sumWeights(whole(row), scaling, createBuckets()) / total).toBeCloseTo(1, 11);
    const bounds = createMassBounds();
    boundMasses(row, scaling, bounds);
    let ahead = 0;
    let numPlain = 0;
    for (const [rank, id] of order.entries()) {
      const isLess = isAheadLess(bounds, row[id]!, 0.6);
      if (rank % 10 === 0 && isLess !== null) {
        numPlain++;
        expect(isLess, `rank ${rank}`).toBe(ahead < 0.6 * total);
      }
      ahead += weights[rank]!;
    }
    if (new Set(row).size > 1000) expect(numPlain).toBeGreaterThan(0.9 * (V / 10));
  });
});

/** The tenth of the mass in which the middle of a token's share lies. */
function tenthOf(sum: number, weight: number, mass: number): number {
  return Math.min(9, Math.floor(((sum - weight / 2) / mass) * 10));
}
