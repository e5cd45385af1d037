/**
 * Pooling in the loop over a toy model: over chunk boundaries, beside sequences that decode, with and without known
 * prefixes.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PrefixCache } from "../../../src/engine/kv/prefix-cache.ts";
import { EngineLoop } from "../../../src/engine/process/engine-loop.ts";
import type { EngineEvent, SequenceSpec } from "../../../src/engine/protocol.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { BAD_ROW, toyGreedy, toyHidden, ToyRunner } from "../../helpers/engine/toy-runner.mjs";

type StepFinished = Extract<EngineEvent, { type: "step-finished" }>;

let runner: ToyRunner;
let loop: EngineLoop;
let done: Promise<void>;
let reports: StepFinished[];
let wake: () => void;
beforeEach(() => {
  runner = new ToyRunner({ numRows: 8, maxTokens: 2 ** 20, prefixes: (toy) => new PrefixCache(toy.chunkRows) });
  reports = [];
  wake = () => {};
  loop = new EngineLoop(runner, { maxNumSeqs: 8, maxQueue: 100, maxQueueTokens: 100_000 }, (event) => {
    if (event.type === "step-finished") reports.push(event);
    wake();
  });
  done = loop.run();
});
afterEach(async () => {
  loop.handle({ type: "engine-stopped" });
  await done;
});

async function run(...specs: SequenceSpec[]): Promise<void> {
  const ended = (): number => reports.reduce((sum, one) => sum + one.finished.length + one.failed.length, 0);
  const wanted = ended() + specs.length;
  for (const sequence of specs) loop.handle({ type: "sequence-added", sequence });
  while (ended() < wanted) await new Promise<void>((resolve) => (wake = resolve));
}
const pooledOf = (id: number) => reports.flatMap(({ pooled }) => pooled).find((one) => one.id === id)?.values;
const cachedOf = (id: number) => reports.flatMap(({ prefilled }) => prefilled).find((one) => one.id === id)?.numCached;
const prompt = Array.from({ length: 150 }, (_, i) => (i * 7) % 36);
const adapter = { generation: "g1" };

/** The mean of the hidden states, position by position. */
function meanOf(tokens: readonly number[], generation: string | null): number[] {
  const rows = tokens.map((_, i) => [...toyHidden(tokens.slice(0, i + 1), generation)]);
  return rows[0]!.map((_, at) => rows.reduce((sum, row) => sum + row[at]!, 0) / rows.length);
}

describe("a pooled prompt", () => {
  it("is the mean of all its positions, or the last one, over chunk boundaries and beside decoding rows", async () => {
    await run(
      sequenceSpec(1, [3, 4], { maxTokens: 12 }),
      sequenceSpec(2, prompt, { maxTokens: 0, pooling: "mean", adapter }),
      sequenceSpec(3, prompt, { maxTokens: 0, pooling: "last" }),
      sequenceSpec(4, [9], { maxTokens: 0, pooling: "mean" }),
    );
    const mean = meanOf(prompt, "g1");
    for (const [i, value] of pooledOf(2)!.entries()) expect(value).toBeCloseTo(mean[i]!, 6);
    expect(pooledOf(3)).toEqual(toyHidden(prompt, null));
    expect(pooledOf(4)).toEqual(toyHidden([9], null));
    const tokens = reports.flatMap(({ sampled }) => sampled.filter(({ id }) => id === 1).map(({ tokenId }) => tokenId));
    expect(tokens).toEqual(toyGreedy([3, 4], null, 12));
    expect(reports.flatMap(({ sampled }) => sampled).filter(({ id }) => id !== 1)).toEqual([]);
    expect(reports.flatMap(({ finished }) => finished).find(({ id }) => id === 2)?.reason).toBe("stop");
    expect(runner.kv.rows).toEqual([]);
  });

  it("reuses a known prefix for its last token alone, and leaves one behind in both cases", async () => {
    await run(sequenceSpec(1, prompt, { maxTokens: 0, pooling: "mean" }));
    await run(sequenceSpec(2, prompt, { maxTokens: 0, pooling: "last" }));
    await run(sequenceSpec(3, prompt, { maxTokens: 0, pooling: "mean" }));
    await run(sequenceSpec(4, prompt, { maxTokens: 1 }));
    expect([1, 2, 3, 4].map(cachedOf)).toEqual([0, 128, 0, 128]);
    expect(pooledOf(2)).toEqual(toyHidden(prompt, null));
    expect(pooledOf(3)).toEqual(pooledOf(1));
  });

  it("fails alone where the model gives a value that is no number", async () => {
    await run(
      sequenceSpec(1, [...prompt, BAD_ROW], { maxTokens: 0, pooling: "mean" }),
      sequenceSpec(2, prompt, { maxTokens: 0, pooling: "mean" }),
    );
    const failed = reports.flatMap((one) => one.failed);
    expect(failed.map(({ id, error }) => [id, error.code])).toEqual([[1, "internal_error"]]);
    expect(pooledOf(2)).toBeDefined();
  });
});
