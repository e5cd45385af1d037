import { describe, expect, it } from "vitest";
import type { SequenceSpec } from "../../../src/engine/protocol.ts";
import type { LogitRows, RowNeed } from "../../../src/engine/sampling/logit-rows.ts";
import { GREEDY } from "../../../src/engine/engine.ts";
import { MAX_CANDIDATES } from "../../../src/model/ports.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { toyGreedy, toyLogits } from "../../helpers/engine/toy-runner.mjs";
import { Bench, range } from "../../helpers/engine/loop-bench.ts";

describe("generating", () => {
  it("gives each of many sequences what the model gives it alone, whatever runs beside it", async () => {
    const bench = new Bench({ numRows: 4 });
    const prompts = Array.from({ length: 11 }, (_, i) => range(1 + i * 23));
    const generations = [null, "g1", "g2"];
    const adapterOf = (i: number) => generations[i % 3] ?? null;
    for (const [i, prompt] of prompts.entries()) {
      const generation = adapterOf(i);
      const adapter = generation === null ? null : { generation };
      bench.add(sequenceSpec(i, prompt, { adapter, maxTokens: 20 + i }));
    }
    await bench.untilEnded(...prompts.keys());
    for (const [i, prompt] of prompts.entries()) {
      expect(bench.tokens(i)).toEqual(toyGreedy(prompt, adapterOf(i), 20 + i));
      expect(bench.reason(i)).toBe("length");
    }
    expect(bench.runner.steps.some((step) => /^decode \d+,\d+,\d+,\d+$/.test(step))).toBe(true);
    expect(bench.runner.kv.rows).toEqual([]);
    expect(bench.lastStats).toMatchObject({ numRunning: 0, numWaiting: 0, kvUsage: 0, runningAdapters: [] });
    await bench.stop();
  });

  it("samples the same tokens for the same seed, alone and in a batch", async () => {
    const sampling = { ...GREEDY, temperature: 1.5, topP: 0.9, repetitionPenalty: 1.2, seed: 5 };
    const alone = new Bench();
    alone.add(sequenceSpec(1, [1, 2], { sampling, maxTokens: 12 }));
    await alone.untilEnded(1);
    const together = new Bench();
    together.add(sequenceSpec(8, range(70), { maxTokens: 20 }));
    together.add(sequenceSpec(1, [1, 2], { sampling, maxTokens: 12 }));
    together.add(sequenceSpec(9, [5], { sampling: { ...sampling, seed: 6 }, maxTokens: 20 }));
    await together.untilEnded(1, 8, 9);
    expect(together.tokens(1)).toEqual(alone.tokens(1));
    expect(new Set(alone.tokens(1)).size).toBeGreaterThan(3);
    await Promise.all([alone.stop(), together.stop()]);
  });

  it("takes the decode steps of one for equal requests that come together", async () => {
    const bench = new Bench({ numRows: 16 }, { maxNumSeqs: 16 });
    bench.add(...Array.from({ length: 16 }, (_, id) => sequenceSpec(id, [1, 2, 3], { maxTokens: 50 })));
    await bench.untilEnded(...Array(16).keys());
    expect(bench.runner.steps.filter((step) => step.startsWith("decode")).length).toBe(49);
    await bench.stop();
  });

  it("ends with a stop id, and reports it", async () => {
    const [first, second] = toyGreedy([3], null, 2);
    const bench = new Bench();
    bench.add(sequenceSpec(1, [3], { stopIds: [second!], maxTokens: 9 })); // two were asked for
    await bench.untilEnded(1);
    expect(bench.tokens(1)).toEqual([first, second]);
    expect(bench.reason(1)).toBe("stop");
    await bench.stop();
  });

  it("chooses no stop id before min_tokens", async () => {
    const stopIds = toyGreedy([3], null, 30).slice(0, 3);
    const bench = new Bench();
    bench.add(sequenceSpec(1, [3], { stopIds, minTokens: 5, maxTokens: 200 }));
    await bench.untilEnded(1);
    const tokens = bench.tokens(1);
    expect(tokens.slice(0, 5).filter((id) => stopIds.includes(id))).toEqual([]);
    expect(tokens.length).toBeGreaterThan(5);
    expect(stopIds).toContain(tokens.at(-1));
    await bench.stop();
  });

  it("reports log-probabilities of the raw distribution", async () => {
    const bench = new Bench();
    const sampling = { ...GREEDY, logitBias: [[7, 50]] as const };
    bench.add(sequenceSpec(1, [3], { sampling, numLogprobs: 2, maxTokens: 1 }));
    await bench.untilEnded(1);
    const logits = toyLogits([3], null);
    const norm = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0));
    const sampled = bench.steps.flatMap((step) => step.sampled)[0];
    expect(sampled?.tokenId).toBe(7);
    expect(sampled?.logprob?.logprob).toBeCloseTo(logits[7]! - norm, 6); // a token of the vocabulary
    expect(sampled?.logprob?.topIds[0]).toBe(toyGreedy([3], null, 1)[0]);
    await bench.stop();
  });
});

describe("scoring", () => {
  it.each([0, 2])(
    "scores every prompt token but the first, over chunk boundaries, with max_tokens %i",
    async (maxTokens) => {
      const prompt = range(150);
      const bench = new Bench();
      bench.add(sequenceSpec(1, prompt, { maxTokens, numPromptLogprobs: 1 }));
      bench.add(sequenceSpec(2, [1], { maxTokens: 0, numPromptLogprobs: 0 }));
      await bench.untilEnded(1, 2);
      const scored = bench.steps.flatMap((step) => step.scored).find(({ id }) => id === 1);
      expect(scored?.logprobs.length).toBe(149);
      for (const [i, { logprob, topIds }] of scored!.logprobs.entries()) {
        // found above
        const logits = toyLogits(prompt.slice(0, i + 1), null);
        const norm = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0));
        expect(logprob).toBeCloseTo(logits[prompt[i + 1]!]! - norm, 6); // i + 1 < 150
        expect(topIds).toEqual([logits.indexOf(Math.max(...logits))]);
      }
      expect(bench.tokens(1)).toEqual(toyGreedy(prompt, null, maxTokens));
      expect(bench.reason(1)).toBe("length");
      expect(bench.steps.flatMap((step) => step.scored).find(({ id }) => id === 2)?.logprobs).toEqual([]);
      await bench.stop();
    },
  );

  it("asks only for the logits it uses", async () => {
    const asked: number[] = [];
    const bench = new Bench();
    const prefill = bench.runner.prefill.bind(bench.runner);
    bench.runner.prefill = (step) => {
      asked.push(step.logitPositions.length);
      return prefill(step);
    };
    bench.add(sequenceSpec(1, range(130), { maxTokens: 1 }));
    bench.add(sequenceSpec(2, range(70), { maxTokens: 0 }));
    await bench.untilEnded(1, 2);
    expect(asked.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 0, 1]);
    await bench.stop();
  });

  it.each<[string, Partial<SequenceSpec>, number]>([
    ["greedy", {}, 1],
    ["greedy with log-probabilities", { numLogprobs: 2 }, MAX_CANDIDATES],
    ["with a temperature", { sampling: { ...GREEDY, temperature: 1 } }, Infinity],
    ["greedy where its first token may not end it", { minTokens: 2, stopIds: [0] }, Infinity],
    ["greedy, its prompt scored", { numPromptLogprobs: 1 }, 1],
  ])("names for every row how much of it will be read: %s", async (_, spec, numTop) => {
    const bench = new Bench();
    const told: Record<"prefill" | "decode", number[]> = { prefill: [], decode: [] };
    const read: number[] = [];
    const numsTop = (needs: readonly (RowNeed | null | undefined)[]): number[] =>
      needs.flatMap((need) => need?.numTop ?? []);
    const noting = async (rows: Promise<LogitRows>): Promise<LogitRows> => {
      const own = await rows;
      const noted = async (needs: readonly (RowNeed | null)[]): ReturnType<LogitRows["read"]> => {
        read.push(...numsTop(needs));
        return await own.read(needs);
      };
      return { numRows: own.numRows, all: () => own.all(), read: noted };
    };
    const [prefill, decode] = [bench.runner.prefill.bind(bench.runner), bench.runner.decode.bind(bench.runner)];
    bench.runner.prefill = (step) => {
      told.prefill.push(...numsTop(step.logitPositions.map(() => step.need)));
      return noting(prefill(step));
    };
    bench.runner.decode = (rows) => {
      told.decode.push(...numsTop(rows.map(({ need }) => need)));
      return noting(decode(rows));
    };
    bench.add(sequenceSpec(1, range(5), { maxTokens: 2, ...spec }));
    await bench.untilEnded(1);
    await bench.stop();
    expect(new Set(told.prefill)).toEqual(new Set([spec.numPromptLogprobs ? Infinity : numTop]));
    expect(new Set(told.decode)).toEqual(new Set(spec.minTokens ? [Infinity] : [numTop]));
    expect(Math.max(...read)).toBeLessThanOrEqual(Math.max(...told.prefill, ...told.decode));
  });
});

describe("commands", () => {
  it("cancel within one step, and report the freed row", async () => {
    const bench = new Bench({ stepMs: 2 });
    bench.add(sequenceSpec(1, [1], { maxTokens: 1000 }));
    await bench.until(() => bench.tokens(1).length >= 3);
    bench.loop.handle({ type: "sequence-cancelled", id: 1 });
    const numTokens = bench.tokens(1).length;
    await bench.until(() => bench.steps.length > 0 && bench.lastStats.numRunning === 0);
    expect(bench.tokens(1).length).toBeLessThanOrEqual(numTokens + 1);
    expect(bench.lastStats).toMatchObject({ phase: "idle", kvUsage: 0 });
    expect([bench.reason(1), bench.error(1)]).toEqual([undefined, undefined]);
    await bench.stop();
  });

  it("cancel a waiting sequence before it ever runs", async () => {
    const bench = new Bench({ numRows: 1, stepMs: 2 }, { maxNumSeqs: 1 });
    bench.add(sequenceSpec(1, [1], { maxTokens: 5 }), sequenceSpec(2, [2]), sequenceSpec(3, [3]));
    bench.loop.handle({ type: "sequence-cancelled", id: 2 });
    await bench.untilEnded(1, 3);
    expect(bench.runner.steps.filter((step) => step.startsWith("prefill 2"))).toEqual([]);
    await bench.stop();
  });

  it("are seen between two steps, however fast these are", async () => {
    const bench = new Bench();
    bench.add(sequenceSpec(1, [1], { maxTokens: 900 }));
    setImmediate(() => bench.loop.handle({ type: "sequence-cancelled", id: 1 }));
    await bench.until(() => bench.steps.length > 0 && bench.lastStats.numRunning === 0);
    expect(bench.tokens(1).length).toBeLessThan(5);
    await bench.stop();
  });

  it("are answered with silence where nothing happened", async () => {
    const bench = new Bench();
    bench.loop.handle({ type: "sequence-cancelled", id: 77 });
    bench.loop.handle({ type: "adapter-dropped", generation: "g1" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(bench.events).toEqual([]);
    expect(bench.runner.adapters?.dropped).toEqual(["g1"]);
    await bench.stop();
  });

  // The metrics went on showing the bytes of a dropped adapter until something ran again.
  it("that drop a cached adapter are followed by a report of the smaller cache", async () => {
    const bench = new Bench();
    bench.add(sequenceSpec(1, [1], { maxTokens: 2, adapter: { generation: "g1" } }));
    await bench.untilEnded(1);
    await bench.until(() => bench.lastStats.numRunning === 0);
    expect(bench.lastStats.adapterCacheBytes).toBe(100);
    bench.loop.handle({ type: "adapter-dropped", generation: "g1" });
    await bench.until(() => bench.lastStats.adapterCacheBytes === 0);
    await bench.stop();
  });

  it("stop at once, failing what still runs and waits", async () => {
    const bench = new Bench({ numRows: 1, stepMs: 2 }, { maxNumSeqs: 1 });
    bench.add(sequenceSpec(1, [1], { maxTokens: 1000 }), sequenceSpec(2, [1]));
    await bench.until(() => bench.tokens(1).length > 0);
    await bench.stop();
    expect([bench.error(1), bench.error(2)]).toEqual(["engine_unavailable", "engine_unavailable"]);
  });
});

describe("statistics", () => {
  it("count steps, rows, adapters and prompt tokens", async () => {
    const bench = new Bench();
    bench.add(
      sequenceSpec(1, range(70), { adapter: { generation: "g1" } }),
      sequenceSpec(2, [1], { adapter: { generation: "g2" } }),
      sequenceSpec(3, [1], { adapter: { generation: "g2" } }),
    );
    await bench.untilEnded(1, 2, 3);
    const stats = bench.steps.map((step) => step.stats);
    expect(stats.reduce((sum, { promptTokens }) => sum + promptTokens, 0)).toBe(72);
    expect(stats.find(({ phase, rows }) => phase === "decode" && rows === 3)?.distinctAdapters).toBe(2);
    expect(bench.steps[0]).toMatchObject({ added: [1, 2, 3], admitted: [1, 2, 3] });
    expect(stats[0]).toMatchObject({
      phase: "idle", // told before the first step
      numRunning: 3,
      adapterCacheMisses: 2,
      adapterCacheHits: 1,
      runningAdapters: ["g1", "g2"],
    });
    expect(stats[1]).toMatchObject({ phase: "prefill", rows: 1, numRunning: 3 });
    const times = bench.steps.flatMap(({ finished }) => finished);
    for (const { queueSeconds, prefillSeconds, decodeSeconds } of times)
      for (const seconds of [queueSeconds, prefillSeconds, decodeSeconds]) expect(seconds).toBeGreaterThanOrEqual(0);
    await bench.stop();
  });
});
