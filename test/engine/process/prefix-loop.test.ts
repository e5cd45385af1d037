/** The loop with a prefix cache over a toy model, whose cached tokens are checked at every step. */
import { describe, expect, it } from "vitest";
import { EngineLoop } from "../../../src/engine/process/engine-loop.ts";
import { PrefixCache } from "../../../src/engine/kv/prefix-cache.ts";
import type { EngineEvent, SequenceSpec } from "../../../src/engine/protocol.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { toyGreedy, ToyRunner } from "../../helpers/engine/toy-runner.mjs";

type StepFinished = Extract<EngineEvent, { type: "step-finished" }>;

interface Ended {
  readonly steps: readonly string[];
  readonly reports: readonly StepFinished[];
}

/** Runs these sequences to their ends, in waves: the next is added when the one before it has ended. */
async function run(waves: readonly (readonly SequenceSpec[])[], droppedAfterFirst?: string): Promise<Ended> {
  const runner = new ToyRunner({ numRows: 8, maxTokens: 2 ** 20, prefixes: (toy) => new PrefixCache(toy.chunkRows) });
  const reports: StepFinished[] = [];
  let wake = (): void => {};
  const loop = new EngineLoop(runner, { maxNumSeqs: 8, maxQueue: 100, maxQueueTokens: 100_000 }, (event) => {
    if (event.type === "step-finished") reports.push(event);
    wake();
  });
  const done = loop.run();
  let numExpected = 0;
  for (const [index, specs] of waves.entries()) {
    for (const sequence of specs) loop.handle({ type: "sequence-added", sequence });
    numExpected += specs.length;
    const numEnded = (): number =>
      reports.reduce((sum, { finished, failed }) => sum + finished.length + failed.length, 0);
    while (numEnded() < numExpected) await new Promise<void>((resolve) => (wake = resolve));
    if (index === 0 && droppedAfterFirst !== undefined)
      loop.handle({ type: "adapter-dropped", generation: droppedAfterFirst });
  }
  loop.handle({ type: "engine-stopped" });
  await done;
  for (const spec of waves.flat()) {
    const tokens = reports.flatMap(({ sampled }) => sampled.filter(({ id }) => id === spec.id));
    const expected = toyGreedy([...spec.promptIds], spec.adapter?.generation ?? null, spec.maxTokens);
    expect(tokens.map(({ tokenId }) => tokenId)).toEqual(expected);
  }
  return { steps: runner.steps, reports };
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7) % 36);

const totals = ({ reports }: Ended): { queries: number; hits: number; computed: number } => ({
  queries: reports.reduce((sum, { stats }) => sum + stats.prefixQueries, 0),
  hits: reports.reduce((sum, { stats }) => sum + stats.prefixHits, 0),
  computed: reports.reduce((sum, { stats }) => sum + stats.promptTokens, 0),
});

const cachedOf = ({ reports }: Ended): number[] =>
  reports
    .flatMap(({ prefilled }) => prefilled)
    .sort((a, b) => a.id - b.id)
    .map(({ numCached }) => numCached);

describe("a prompt that begins like one before it", () => {
  it("prefills only what is new, with the same answer, and says how much it took over", async () => {
    const prompts = [range(200), [...range(200), 1, 2, 3], [...range(130), 5, 6]];
    const ended = await run(prompts.map((prompt, id) => [sequenceSpec(id, prompt, { maxTokens: 5 })]));
    expect(ended.steps.filter((step) => !step.startsWith("decode"))).toEqual(
      [
        ["prefill 0 0+64", "prefill 0 64+64", "prefill 0 128+64", "prefill 0 192+8"],
        ["copy 1 0+64", "copy 1 64+64", "copy 1 128+64", "prefill 1 192+11"],
        ["copy 2 0+64", "copy 2 64+64", "prefill 2 128+4"],
      ].flat(),
    );
    expect(cachedOf(ended)).toEqual([0, 192, 128]);
    expect(totals(ended)).toEqual({ queries: 200 + 203 + 132, hits: 320, computed: 200 + 11 + 4 });
  });

  it("reuses what those that came with it have just prefilled", async () => {
    const shared = range(640);
    const specs = Array.from({ length: 8 }, (_, id) => sequenceSpec(id, [...shared, id, 1, 2], { maxTokens: 4 }));
    const ended = await run([specs]);
    expect(totals(ended).computed).toBe(640 + 8 * 3);
    expect(totals(ended).hits).toBe(7 * 640);
  });

  it("takes nothing from another tenant or another adapter", async () => {
    const whose = ["a", "b"].flatMap((tenant) =>
      [null, { generation: "g1" }, { generation: "g2" }].map((adapter) => ({ tenant, adapter })),
    );
    const wave = (first: number) =>
      whose.map((more, i) => sequenceSpec(first + i, range(200), { ...more, maxTokens: 3 }));
    const ended = await run([wave(0), wave(10)]);
    expect(cachedOf(ended)).toEqual([...whose.map(() => 0), ...whose.map(() => 192)]);
  });

  it("takes nothing from a generation that was dropped", async () => {
    const adapter = { generation: "g1" };
    const spec = (id: number) => sequenceSpec(id, range(200), { adapter, maxTokens: 3 });
    expect(cachedOf(await run([[spec(1)], [spec(2)]]))).toEqual([0, 192]);
    expect(cachedOf(await run([[spec(1)], [spec(2)]], "g1"))).toEqual([0, 0]);
    expect(cachedOf(await run([[spec(1)], [spec(2)]], "g2"))).toEqual([0, 192]);
  });

  it("is computed all the same where it is scored", async () => {
    const score = { numPromptLogprobs: 1, maxTokens: 2 };
    const ended = await run([[sequenceSpec(1, range(200), score)], [sequenceSpec(2, range(200), score)]]);
    const [first, second] = ended.reports.flatMap(({ scored }) => scored);
    expect(second?.logprobs).toHaveLength(199);
    expect(second?.logprobs).toEqual(first?.logprobs);
    expect(totals(ended)).toEqual({ queries: 0, hits: 0, computed: 400 });
  });
});
