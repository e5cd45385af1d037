import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StepStats } from "../../src/engine/protocol.ts";
import { Metrics, type RequestReport } from "../../src/metrics/metrics.ts";
import { METRICS } from "../../src/metrics/table.ts";

let metrics: Metrics;
beforeEach(() => {
  metrics = new Metrics({
    modelName: "base",
    usesPrefixCache: true,
    nameOfGeneration: (generation) => `name-${generation}`,
    facts: () => ({
      live: 3,
      merged: 1,
      storeBytes: 500,
      capacity: { kvBlockTokens: 64, numKvBlocks: 200, kvCacheType: "float32", maxReadyAdapters: 5000 },
      draftBytes: null,
      residency: { numLive: 0, numMerged: 0, named: [], rankOf: () => null },
    }),
  });
});
afterEach(() => metrics.close());

/** Value of every series by its name and labels. */
const scrape = async () => {
  const lines = (await metrics.render()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
};
const step: StepStats = {
  phase: "decode",
  seconds: 0.01,
  rows: 4,
  distinctAdapters: 3,
  promptTokens: 0,
  numDrafted: 0,
  numAccepted: 0,
  draftSource: "text",
  draftSeconds: 0,
  numRunning: 4,
  numWaiting: 2,
  runningAdapters: ["b", "a", "a"],
  waitingAdapters: ["c", "a"],
  kvUsage: 0.25,
  adapterCacheBytes: 100,
  adapterCacheHits: 2,
  adapterCacheMisses: 1,
  adapterLoadSeconds: [],
  prefixQueries: 64,
  prefixHits: 32,
  deviceBytes: { weights: 1000, bases: 100, kv: 10, adapters: 1 },
};
const ended: RequestReport = {
  tenant: "default",
  adapter: null,
  finishedReason: "stop",
  promptTokens: 10,
  generationTokens: 5,
  totalSeconds: 1,
  queueSeconds: 0.1,
  prefillSeconds: 0.2,
  decodeSeconds: null,
};

describe("the first scrape", () => {
  it("has every metric of the table, its type and 0", async () => {
    const text = await metrics.render();
    const series = await scrape();
    for (const { name, type } of METRICS) {
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
      const own = [...series].filter(([key]) => new RegExp(`^${name}(_count|_sum|_bucket)?(\\{|$)`).test(key));
      if (name === "vllm:lora_adapter_loaded") continue; // a series a ready adapter, and there is none
      expect(own.length, name).toBeGreaterThan(0);
      const isZero =
        !/^(mosara_adapters|mosara_adapter_bytes|mosara_event_loop_delay_seconds|vllm:lora_requests_info|vllm:cache_config_info|vllm:max_gpu_lora_adapters)$/.test(
          name,
        );
      if (isZero)
        expect(
          own.map(([, value]) => value).every((value) => value === 0),
          name,
        ).toBe(true);
    }
  });

  it("has vLLM's names with the model's name and the series a gateway looks for", async () => {
    const series = await scrape();
    for (const name of [
      "vllm:num_requests_running",
      "vllm:num_requests_waiting",
      "vllm:kv_cache_usage_perc",
      "vllm:prompt_tokens_total",
      "vllm:time_to_first_token_seconds_count",
    ])
      expect(series.get(`${name}{model_name="base"}`)).toBe(0);
    for (const reason of ["stop", "length", "abort", "error"])
      expect(series.get(`vllm:request_success_total{model_name="base",finished_reason="${reason}"}`)).toBe(0);
    const info = [...series].filter(([key]) => key.startsWith("vllm:lora_requests_info"));
    expect(info.map(([key]) => key)).toEqual([
      'vllm:lora_requests_info{max_lora="5000",running_lora_adapters="",waiting_lora_adapters=""}',
    ]);
    expect(series.get('mosara_adapters{placement="live"}')).toBe(3);
    expect(series.get('mosara_adapter_bytes{tier="store"}')).toBe(500);
    expect([...series.keys()].some((key) => key.startsWith("process_cpu_seconds_total"))).toBe(true);
  });
});

describe("steps", () => {
  it("set what is, count what was done, and leave one series of adapters", async () => {
    metrics.recordStep(step);
    metrics.recordStep({ ...step, phase: "prefill", runningAdapters: ["z"], waitingAdapters: [] });
    metrics.recordStep({ ...step, phase: "idle", numRunning: 0, runningAdapters: ["a", "b"] });
    const series = await scrape();
    expect(series.get('vllm:num_requests_running{model_name="base"}')).toBe(0);
    expect(series.get('vllm:num_requests_waiting{model_name="base"}')).toBe(2);
    expect(series.get('vllm:kv_cache_usage_perc{model_name="base"}')).toBe(0.25);
    expect(series.get('vllm:prefix_cache_hits_total{model_name="base"}')).toBe(96);
    expect(series.get("mosara_adapter_cache_misses_total")).toBe(3);
    expect(series.get('mosara_engine_steps_total{phase="decode"}')).toBe(1);
    expect(series.get('mosara_engine_steps_total{phase="prefill"}')).toBe(1);
    expect(series.get("mosara_batch_rows_sum")).toBe(4);
    expect(series.get("mosara_batch_adapters_sum")).toBe(3);
    const info = [...series].filter(([key]) => key.startsWith("vllm:lora_requests_info"));
    expect(info.map(([key]) => key)).toEqual([
      'vllm:lora_requests_info{max_lora="5000",running_lora_adapters="name-a,name-b",waiting_lora_adapters="name-c"}',
    ]);
    expect(info[0]?.[1]).toBeGreaterThan(1.7e9);
  });

  it("show nothing running after the engine's death", async () => {
    metrics.recordStep(step);
    metrics.recordRestart();
    const series = await scrape();
    expect(series.get('vllm:num_requests_running{model_name="base"}')).toBe(0);
    expect(series.get("mosara_engine_restarts_total")).toBe(1);
    expect([...series.keys()].find((key) => key.startsWith("vllm:lora_requests_info"))).toContain(
      'running_lora_adapters=""',
    );
  });
});

describe("the older names", () => {
  it("have the values of the newer ones", async () => {
    metrics.recordStep(step);
    metrics.recordTokenGap(0.03);
    const series = await scrape();
    expect(series.get('vllm:gpu_cache_usage_perc{model_name="base"}')).toBe(0.25);
    expect(series.get('vllm:time_per_output_token_seconds_sum{model_name="base"}')).toBe(0.03);
    const newer = [...series].filter(([key]) => key.startsWith("vllm:inter_token_latency_seconds"));
    const older = newer.map(([key]) => key.replace("inter_token_latency", "time_per_output_token"));
    expect(older.map((key) => series.get(key))).toEqual(newer.map(([, value]) => value));
    metrics.recordRestart();
    expect((await scrape()).get('vllm:gpu_cache_usage_perc{model_name="base"}')).toBe(0);
  });
});

describe("requests", () => {
  it("count tokens, reasons and times, leaving out times that never were", async () => {
    metrics.recordRequest(ended);
    const series = await scrape();
    expect(series.get('vllm:prompt_tokens_total{model_name="base"}')).toBe(10);
    expect(series.get('vllm:request_success_total{model_name="base",finished_reason="stop"}')).toBe(1);
    expect(series.get('vllm:request_queue_time_seconds_sum{model_name="base"}')).toBe(0.1);
    expect(series.get('vllm:request_decode_time_seconds_count{model_name="base"}')).toBe(0);
    expect(series.get('vllm:request_generation_tokens_sum{model_name="base"}')).toBe(5);
  });

  it("name at most 100 adapters; _other and the sum never fall, and the busy ones are named in the end", async () => {
    const sumOf = (series: Map<string, number>) =>
      [...series]
        .filter(([key]) => key.startsWith("mosara_adapter_requests_total"))
        .reduce((sum, [, value]) => sum + value, 0);
    const otherOf = (series: Map<string, number>) =>
      series.get('mosara_adapter_requests_total{adapter="_other",finished_reason="stop"}') ?? 0;
    for (let i = 0; i < 300; i++) metrics.recordRequest({ ...ended, adapter: { name: `quiet-${i}` } });
    let before = await scrape();
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 20; i++) metrics.recordRequest({ ...ended, adapter: { name: `busy-${i}` } });
      const after = await scrape();
      expect(sumOf(after)).toBe(sumOf(before) + 20);
      expect(otherOf(after)).toBeGreaterThanOrEqual(otherOf(before));
      before = after;
    }
    const names = new Set(
      [...before.keys()].flatMap((key) => /^mosara_adapter_requests_total\{adapter="([^"]+)"/.exec(key)?.[1] ?? []),
    );
    expect(names.size).toBeLessThanOrEqual(101);
    for (let i = 0; i < 20; i++) expect(names).toContain(`busy-${i}`);
    expect(sumOf(before)).toBe(1300);
  });
});
