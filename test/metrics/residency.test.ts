/** The gauges of ready adapters: the busiest by name, every one in the number, nothing of what has gone. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NO_STATS } from "../../src/engine/server/combined-stats.ts";
import { Metrics, type RequestReport } from "../../src/metrics/metrics.ts";
import type { ResidencyFacts } from "../../src/metrics/residency.ts";

const NOTHING: ResidencyFacts = { numLive: 0, numMerged: 0, named: [], rankOf: () => null };
let facts: ResidencyFacts;
let metrics: Metrics;
beforeEach(() => {
  facts = NOTHING;
  metrics = new Metrics({
    modelName: "base",
    usesPrefixCache: true,
    nameOfGeneration: (generation) => generation,
    facts: () => ({
      live: 0,
      merged: 0,
      storeBytes: 0,
      capacity: { kvBlockTokens: 64, numKvBlocks: 200, kvCacheType: "float32", maxReadyAdapters: 5000 },
      draftBytes: null,
      residency: facts,
    }),
  });
});
afterEach(() => metrics.close());

const linesOf = async (name: string): Promise<string[]> =>
  (await metrics.render()).split("\n").filter((line) => line.startsWith(name));
const valueOf = async (series: string): Promise<number> => Number((await linesOf(series))[0]?.split(" ").at(-1));
const resident = (name: string, isMerged = false) => ({
  name,
  qualifiedName: `shared/${name}`,
  generation: `generation of ${name}`,
  isMerged,
});
const ended = (name: string): RequestReport => ({
  tenant: "default",
  adapter: { name },
  finishedReason: "stop",
  promptTokens: 1,
  generationTokens: 1,
  totalSeconds: 1,
  queueSeconds: null,
  prefillSeconds: null,
  decodeSeconds: null,
});

describe("adapters that are ready", () => {
  it("have a series each while they are, with where, whether it can be pushed out, and the rank", async () => {
    expect(await linesOf("vllm:lora_adapter_loaded")).toEqual([]);
    const ranks: Record<string, number> = { acme: 8, folded: 64 };
    const named = [resident("acme"), resident("moved"), resident("folded", true)];
    facts = { numLive: 4, numMerged: 1, named, rankOf: ({ name }) => ranks[name] ?? null };
    expect(await linesOf("vllm:lora_adapter_loaded")).toEqual([
      'vllm:lora_adapter_loaded{adapter_name="acme",level="gpu",pinned="false",rank="8"} 1',
      'vllm:lora_adapter_loaded{adapter_name="folded",level="gpu",pinned="true",rank="64"} 1',
    ]);
    expect(await valueOf('vllm:num_gpu_loaded_lora_adapters{model_name="base"}')).toBe(5);
    expect(await valueOf('vllm:max_gpu_lora_adapters{model_name="base"}')).toBe(5001);
    facts = NOTHING;
    expect(await linesOf("vllm:lora_adapter_loaded")).toEqual([]);
    expect(await valueOf('vllm:num_gpu_loaded_lora_adapters{model_name="base"}')).toBe(0);
    expect(await valueOf('vllm:max_gpu_lora_adapters{model_name="base"}')).toBe(5000);
  });

  it("are named where they are the 100 busiest, and all counted", async () => {
    const named = Array.from({ length: 300 }, (_, i) => resident(`adapter-${i}`));
    for (let i = 250; i < 300; i++) for (let n = 0; n < 3; n++) metrics.recordRequest(ended(`adapter-${i}`));
    for (let i = 150; i < 175; i++) metrics.recordRequest(ended(`adapter-${i}`));
    let numAsked = 0;
    const rankOf = () => {
      numAsked++;
      return 4;
    };
    facts = { numLive: 300, numMerged: 0, named, rankOf };
    const names = (await linesOf("vllm:lora_adapter_loaded")).map((line) => /adapter_name="([^"]+)"/.exec(line)?.[1]);
    const range = (from: number, to: number) => named.slice(from, to).map(({ name }) => name);
    expect(names).toEqual([...range(250, 300), ...range(150, 175), ...range(0, 25)]); // then the last used
    expect(numAsked).toBe(100);
    expect(await valueOf('vllm:num_gpu_loaded_lora_adapters{model_name="base"}')).toBe(300);
  });
});

describe("the time to load an adapter", () => {
  it("is counted once a load", async () => {
    const labels = 'model_name="base",transition="load"';
    expect(await valueOf(`vllm:lora_adapter_load_seconds_count{${labels}}`)).toBe(0);
    metrics.recordStep({ ...NO_STATS, adapterLoadSeconds: [0.002, 0.03] });
    metrics.recordStep(NO_STATS);
    expect(await valueOf(`vllm:lora_adapter_load_seconds_count{${labels}}`)).toBe(2);
    expect(await valueOf(`vllm:lora_adapter_load_seconds_sum{${labels}}`)).toBeCloseTo(0.032);
    expect(await linesOf(`vllm:lora_adapter_load_seconds_bucket{le="0.0025",${labels}}`)).toHaveLength(1);
  });
});
