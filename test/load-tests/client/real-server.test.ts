/** The clients against a real server on a tiny base: what they count is what the server counts. */
import { expect, it } from "vitest";
import { type Workload, planRequests } from "../../../load-tests/client/draw.ts";
import { runClosedLoop } from "../../../load-tests/client/load.ts";
import { readServerLoad } from "../../../load-tests/client/server-metrics.ts";
import { requireAnswers, summarize } from "../../../load-tests/client/summary.ts";
import { openBase } from "../../../src/base/base.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import { putAdapter, readMetrics, startServer } from "../../helpers/server.ts";

it("counts tokens and adapters as the server does", async () => {
  const baseDir = await longLlamaBase(256);
  await using base = await openBase(baseDir);
  const { manifest } = base;
  await using server = await startServer(["--model", baseDir, "--served-model-name", "base"]);
  const names = ["a", "b", "c"];
  for (const [seed, name] of names.entries()) await putAdapter(server.url, name, adapterFile(manifest, { seed }));
  const workload: Workload = {
    promptTokens: { kind: "uniform", min: 3, max: 20 },
    answerTokens: { kind: "uniform", min: 1, max: 12 },
    adapters: { kind: "each", names },
    vocabSize: manifest.config.vocabSize,
    seed: 3,
  };
  const requests = planRequests(workload, 12);
  const target = { url: server.url, model: "base", fieldsOf: () => ({ return_token_ids: true }) };
  const run = requireAnswers(await runClosedLoop(target, requests, 4));
  const wanted = requests.map(({ maxTokens }) => maxTokens);
  expect(run.outcomes.map(({ numTokens }) => numTokens)).toEqual(wanted);
  expect(run.outcomes.map(({ numPromptTokens }) => numPromptTokens)).toEqual(
    requests.map(({ promptIds }) => promptIds.length),
  );
  for (const { endMs, firstTokenMs, pieceMs, numTokens } of run.outcomes) {
    expect(pieceMs.length).toBeLessThanOrEqual(numTokens);
    expect(firstTokenMs).toBeLessThanOrEqual(endMs);
  }
  const total = wanted.reduce((sum, count) => sum + count, 0);
  expect(summarize(run).tokensPerSecond).toBeCloseTo(total / run.seconds, 6);
  const metrics = await readMetrics(server.url);
  expect(metrics.get("vllm:generation_tokens_total")).toBe(total);
  expect(metrics.get('mosara_adapter_requests_total{adapter="b",finished_reason="length"}')).toBe(4);
  const load = await readServerLoad(server.url);
  expect(load.residentBytes).toBeGreaterThan(1e7);
  expect(load.eventLoopDelayP99Ms).toBeGreaterThanOrEqual(0);
});
