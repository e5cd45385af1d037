/**
 * Our /metrics as the Gateway API inference extension's endpoint picker, and llm-d's router after it, read it: five
 * families by vLLM's names, by the rules of kubernetes-sigs/gateway-api-inference-extension (pkg/epp/backend/metrics)
 * and llm-d/llm-d-router (extractor/metrics), written anew. What the picker cannot read, it skips, and requests go
 * astray.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NO_STATS } from "../../src/engine/server/combined-stats.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";
import { type Family, parseMetrics, type Sample } from "../helpers/outside/prometheus-text.ts";

/** What the picker knows of an endpoint. */
interface Endpoint {
  readonly waiting: number;
  readonly running: number;
  readonly kvUsage: number;
  readonly active: string[];
  readonly queued: string[];
  readonly maxActive: number;
  readonly blockSize: number;
  readonly numBlocks: number;
}

/** A family's only or latest series; one that is missing is an error that the picker counts at every poll. */
function latest(families: Map<string, Family>, name: string): Sample {
  const family = families.get(name);
  const sample = family?.samples[0];
  if (family?.type !== "gauge" || sample === undefined) throw new Error(`the picker finds no gauge ${name}`);
  return sample;
}

/** The series with the largest value, which is its time. The older picker skips one that lists no adapter at all. */
function latestAdapters(families: Map<string, Family>, skipsEmpty: boolean): Sample | undefined {
  const { samples = [] } = families.get("vllm:lora_requests_info") ?? {};
  return samples
    .filter(({ labels }) => !skipsEmpty || labels.running_lora_adapters !== "" || labels.waiting_lora_adapters !== "")
    .reduce<Sample | undefined>((best, one) => (best === undefined || one.value > best.value ? one : best), undefined);
}

/** As Go's Atoi. */
function wholeNumber(text: string | undefined): number {
  if (text === undefined || !/^[+-]?\d+$/.test(text)) throw new Error(`the picker cannot read the number ${text}`);
  return Number(text);
}

const namesIn = (list: string | undefined) =>
  (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);

function readEndpoint(text: string): Endpoint {
  const families = parseMetrics(text);
  const adapters = latestAdapters(families, false);
  if (namesIn(adapters?.labels.running_lora_adapters).length > 0)
    expect(latestAdapters(families, true)).toEqual(adapters); // both generations of the picker read the same
  const cache = latest(families, "vllm:cache_config_info").labels;
  return {
    waiting: Math.trunc(latest(families, "vllm:num_requests_waiting").value),
    running: Math.trunc(latest(families, "vllm:num_requests_running").value),
    kvUsage: latest(families, "vllm:kv_cache_usage_perc").value,
    active: namesIn(adapters?.labels.running_lora_adapters),
    queued: namesIn(adapters?.labels.waiting_lora_adapters),
    maxActive: wholeNumber(adapters?.labels.max_lora),
    blockSize: wholeNumber(cache.block_size),
    numBlocks: wholeNumber(cache.num_gpu_blocks),
  };
}

let test: TestApp;
beforeEach(async () => {
  test = await createTestApp({ stepMs: 10 });
});
afterEach(() => test[Symbol.asyncDispose]());
const poll = async () => readEndpoint(await (await test.app.request("/metrics")).text());

describe("the picker", () => {
  it("reads an idle server before its first request, with all five families and nothing to trip over", async () => {
    expect(await poll()).toEqual({
      waiting: 0,
      running: 0,
      kvUsage: 0,
      active: [],
      queued: [],
      maxActive: 1000,
      blockSize: 64,
      numBlocks: 128,
    });
  });

  it("sees which adapters run while they run, and none afterwards", async () => {
    for (const name of ["acme", "pirate"]) await test.put(name, fittingAdapter(name.length));
    const ask = (model: string) =>
      test.post("/v1/completions", { model, prompt: "x", max_tokens: 30, ignore_eos: true, stream: true });
    const answers = await Promise.all([ask("acme"), ask("pirate"), ask("base")]);
    await expect.poll(async () => (await poll()).active).toEqual(["acme", "pirate"]);
    expect((await poll()).running).toBeGreaterThan(0);
    await Promise.all(answers.map((answer) => answer.text()));
    await expect.poll(poll).toMatchObject({ running: 0, waiting: 0, active: [], queued: [] });
  });

  it("finds an adapter in one list, even where some of its sequences wait", async () => {
    const { metrics, context } = test;
    const held = ["a", "b"].map((name) => context.names.hold(`generation-${name}`, name));
    const [running, waiting] = [["generation-a"], ["generation-a", "generation-b"]];
    const stats = { numRunning: 1, numWaiting: 2, runningAdapters: running, waitingAdapters: waiting };
    metrics.recordStep({ ...NO_STATS, ...stats });
    expect(await poll()).toMatchObject({ running: 1, waiting: 2, active: ["a"], queued: ["b"] });
    for (const forget of held) forget();
  });
});
