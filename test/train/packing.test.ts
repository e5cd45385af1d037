/**
 * Tokens that sequences share are computed once: the layout, and its losses and gradients beside those of plain rows.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { toFloat32 } from "../../src/tensor/host-tensor.ts";
import { type MicroBatch, type TrainExample, type TrainSequence, sequencesOf } from "../../src/train/data/batches.ts";
import {
  type BatchLayout,
  type TokenCosts,
  layoutCost,
  packedLayout,
  unpackedLayout,
  tokensOf,
} from "../../src/train/data/layout.ts";
import { choosePacking } from "../../src/train/packing.ts";
import { type TrainModel, type TrainModelOptions, openTrainModel } from "../../src/train/train-model.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { casesIn, fixturesDir } from "../helpers/fixtures.ts";
import { methodCases, openCase, parametersAt, stageTensors } from "../helpers/models/training-cases.ts";
import { randomIds } from "../../load-tests/inputs/random-values.ts";

/** One row, rows of the plain length, and a mixture. */
const COSTS: readonly TokenCosts[] = [
  { perToken: 1, perPair: 0 },
  { perToken: 0, perPair: 1 },
  { perToken: 40, perPair: 1 },
];

function sequence(ids: readonly number[], from: number): TrainSequence {
  const lossMask = Uint8Array.from(ids, (_, i) => (i >= from ? 1 : 0));
  return { ids: Int32Array.from(ids), lossMask, numLossTokens: ids.length - from };
}

/**
 * Sequences that branch: a common beginning, two prompts, answers that begin alike, one of them twice, one cut short.
 */
function branching(vocab: number): readonly TrainExample[] {
  const random = seedRandom(3);
  const take = (count: number): number[] => [...randomIds(count, vocab, random)];
  const [start, p, q, answer] = [take(5), take(7), take(4), take(6)];
  const prompts = [
    [...start, ...p],
    [...start, ...q],
  ] as const;
  return [
    sequence([...prompts[0], ...answer, ...take(3)], 12),
    sequence([...prompts[1], ...take(9)], 9),
    sequence([...prompts[0], ...answer.slice(0, 3), ...take(8)], 12),
    sequence([...prompts[0], ...answer], 12),
    sequence([...prompts[0], ...answer], 12),
    sequence([...start, ...take(2)], 1), // learns of the common beginning too
  ];
}

/** The tokens that a token of a row sees. */
function seenBy(place: number, layout: BatchLayout): number[] {
  const { prefixLength, prefixSize, rowLength, ends } = layout;
  if (place < prefixSize) return Array.from({ length: place + 1 }, (_, i) => i);
  const own = place - prefixSize;
  const start = own - (own % rowLength);
  const keys = Array.from({ length: (own % rowLength) + 1 }, (_, i) => start + i);
  const visible = keys.filter((key) => (ends[key] ?? 0) > own % rowLength).map((key) => prefixSize + key);
  return [...Array.from({ length: prefixLength }, (_, i) => i), ...visible];
}

describe("a packed layout", () => {
  const random = seedRandom(1);
  // Few kinds of tokens, so that many sequences begin alike, are equal, or begin others.
  const batches = Array.from({ length: 60 }, (_, b) =>
    Array.from({ length: 1 + (b % 9) }, () => sequence([...randomIds(1 + ((b * 7) % 23), 2, random)], 1)),
  );

  it.each(COSTS)("shows every token exactly what comes before it in its sequence, at costs %j", (costs) => {
    for (const batch of [...batches, branching(100)]) {
      const layout = packedLayout(batch, costs);
      expect(layout.ids).toHaveLength(tokensOf(layout));
      sequencesOf(batch).forEach(({ ids }, i) => {
        const places = [...(layout.places[i] ?? [])];
        expect(places.map((place) => layout.ids[place])).toEqual([...ids.subarray(0, -1)]);
        expect(places.map((place) => layout.positions[place])).toEqual(places.map((_, t) => t));
        expect(places.map((place) => seenBy(place, layout))).toEqual(places.map((_, t) => places.slice(0, t + 1)));
      });
    }
  });

  it("computes shared tokens once, at no more cost than plain rows", () => {
    const batch = branching(100);
    expect(tokensOf(packedLayout(batch, COSTS[0]!))).toBeLessThan(0.7 * tokensOf(unpackedLayout(batch)));
    for (const costs of COSTS)
      expect(layoutCost(packedLayout(batch, costs), costs)).toBeLessThanOrEqual(
        layoutCost(unpackedLayout(batch), costs),
      );
  });
});

/** The loss and the gradients of a batch as plain rows, and packed into one. */
async function bothWays(
  options: Pick<TrainModelOptions, "config" | "source" | "trained"> & { readonly folder: string },
  values: ReadonlyMap<string, Float32Array>,
  check: (plain: TrainModel, packed: TrainModel, batch: MicroBatch) => Promise<void>,
): Promise<void> {
  const batch = branching(options.config.vocabSize);
  const common = { ...options, weightsDir: options.folder, device: "cpu", numThreads: 1, maxPositions: 24 } as const;
  await using plain = await openTrainModel(common);
  await using packed = await openTrainModel({ ...common, packing: COSTS[0]! });
  for (const { parameters } of [plain, packed]) for (const [name, value] of values) parameters.set(name, value);
  const [a, b] = [await plain.gradients(batch, 7), await packed.gradients(batch, 7)];
  expect(packed.tokensIn(batch)).toBeLessThan(0.7 * plain.tokensIn(batch));
  expect(Math.abs(b.loss / a.loss - 1)).toBeLessThan(1e-5);
  expectAllclose(packed.parameters.gradients, plain.parameters.gradients, { rtolOfMax: 2e-5 }, "gradients");
  await check(plain, packed, batch);
}

describe("a packed batch has the loss and the gradients of plain rows", () => {
  // Whichever method: the adapters see no rows.
  it("of an adapter with heads, and the loss of each token", async () => {
    const one = methodCases.find(({ kind }) => kind === "mo-sara") ?? methodCases[0]!;
    await using open = await openCase(one);
    const entries = Object.entries(await parametersAt(one, open, "point"));
    const values = new Map(entries.map(([name, { data }]) => [name, data as Float32Array]));
    await bothWays(open, values, async (plain, packed, batch) => {
      const [a, b] = [await plain.rowLosses(batch), await packed.rowLosses(batch)];
      expectAllclose(b, a, { rtolOfMax: 1e-5 }, "losses of tokens");
    });
  });

  const models = fixturesDir("models");
  it.each(casesIn(models, "config.json"))("of all tensors of %s", async (name) => {
    await using checkpoint = await openCheckpoint(join(models, name));
    await using staged = await stageTensors(checkpoint);
    const values = new Map<string, Float32Array>();
    for (const one of checkpoint.tensors) values.set(one.name, toFloat32(await checkpoint.read(one.name)));
    const { config } = checkpoint;
    await bothWays({ ...staged, config, trained: { kind: "full" } }, values, async () => {});
  });
});

it("packing is chosen where examples begin alike, and not where they do not", async () => {
  await using open = await openCase(methodCases[0]!);
  const source = (examples: readonly TrainExample[]) => ({ stepsPerEpoch: 1, at: () => [examples] });
  expect(choosePacking(open.config, source(branching(60)))).not.toBeNull();
  const apart = Array.from({ length: 6 }, (_, i) => sequence([i, ...randomIds(14, 60, seedRandom(i))], 4));
  expect(choosePacking(open.config, source(apart))).toBeNull();
});
