/**
 * The clients against a foreign server whose delays are known, so that what they measure can be checked independently.
 */
import { expect, it } from "vitest";
import { type Workload, planRequests } from "../../../load-tests/client/draw.ts";
import { runClosedLoop, runOpenLoop } from "../../../load-tests/client/load.ts";
import { requireAnswers, summarize } from "../../../load-tests/client/summary.ts";
import { median } from "../../../load-tests/report/figures.ts";
import { startScripted } from "../../helpers/outside/scripted-openai.ts";

const WORKLOAD: Workload = {
  promptTokens: { kind: "fixed", tokens: 4 },
  answerTokens: { kind: "fixed", tokens: 6 },
  adapters: { kind: "none" },
  vocabSize: 100,
  seed: 1,
};

it("reports the server's delays as first token, inter-token and end-to-end time", async () => {
  await using server = await startScripted({ firstTokenMs: 60, tokenMs: 20 });
  const target = { url: server.url, model: "m" };
  await runClosedLoop(target, planRequests(WORKLOAD, 4), 4); // opens connections
  const numWarm = server.delays.length;
  const run = await runClosedLoop(target, planRequests(WORKLOAD, 12), 4);
  const delays = server.delays.slice(numWarm);
  const summary = summarize(requireAnswers(run));
  const like = (ms: number, expected: number, leastMs: number): void => {
    expect(ms).toBeGreaterThanOrEqual(leastMs - 2);
    expect(Math.abs(ms - expected)).toBeLessThan(25); // the way between two ends of one busy process
  };
  like(summary.firstTokenMs.p50, median(delays.map(([first = NaN]) => first)), 60);
  like(summary.interTokenMs.p50, median(delays.flatMap(([, ...gaps]) => gaps)), 20);
  like(summary.endToEndMs.p50, median(delays.map((all) => all.reduce((sum, ms) => sum + ms, 0))), 160);
  expect(summary.tokensPerSecond).toBeCloseTo((12 * 6) / run.seconds, 6);
  expect(summary.tokensPerSecond).toBeLessThanOrEqual((4 * 6) / 0.16);
  expect([summary.numRequests, summary.numAnswered, summary.errors]).toEqual([12, 12, {}]);
  expect(server.mostAtOnce()).toBe(4);
});

it("sends requests when they arrive, whether or not others are answered", async () => {
  await using server = await startScripted({ firstTokenMs: 300, tokenMs: 0 });
  const workload: Workload = { ...WORKLOAD, answerTokens: { kind: "fixed", tokens: 1 } };
  const run = await runOpenLoop({ url: server.url, model: "m" }, planRequests(workload, 40), {
    ratePerSecond: 100,
    seed: 2,
  });
  // 40 arrivals at 100/s take about 0.4 s; one after the other they would take 12 s.
  expect(run.seconds).toBeLessThan(3);
  expect(server.mostAtOnce()).toBeGreaterThan(10);
  const due = run.outcomes.map(({ dueAt }) => dueAt);
  expect(due).toEqual([...due].sort((a, b) => a - b));
});

it("counts refusals and broken streams as errors and keeps them out of the times", async () => {
  const refuse = (_: unknown, index: number) => (index % 2 === 0 ? { status: 503, code: "overloaded" } : null);
  await using server = await startScripted({ firstTokenMs: 5, tokenMs: 1, refuse });
  const run = await runClosedLoop({ url: server.url, model: "m" }, planRequests(WORKLOAD, 6), 1);
  const summary = summarize(run);
  expect([summary.numAnswered, summary.errors]).toEqual([3, { overloaded: 3 }]);
  expect(run.outcomes[0]?.error).toMatchObject({ status: 503, code: "overloaded", retryAfter: 7 });
  expect(() => requireAnswers(run)).toThrow(/503 overloaded/);
  await using broken = await startScripted({ firstTokenMs: 1, tokenMs: 1, breakAfter: 2 });
  const cut = await runClosedLoop({ url: broken.url, model: "m" }, planRequests(WORKLOAD, 1), 1);
  expect(summarize(cut).errors).toEqual({ stream_broken: 1 });
  const away = await runClosedLoop({ url: "http://127.0.0.1:9", model: "m" }, planRequests(WORKLOAD, 1), 1);
  expect(summarize(away).errors).toEqual({ connection_failed: 1 });
});

it("asks in the way that the target says", async () => {
  await using server = await startScripted({ firstTokenMs: 0, tokenMs: 0 });
  const requests = planRequests({ ...WORKLOAD, adapters: { kind: "each", names: ["a", "b"] } }, 2);
  const chat = await runClosedLoop({ url: server.url, model: "m", api: "chat" }, requests, 1);
  const fieldsOf = (adapter: string | null) => ({ model: "m", lora: [{ id: adapter === "a" ? 0 : 1, scale: 1 }] });
  await runClosedLoop({ url: server.url, model: "m", fieldsOf }, requests, 1);
  await runClosedLoop({ url: server.url, model: "m", api: "text" }, requests.slice(0, 1), 1);
  expect(server.paths).toEqual([
    ...Array<string>(2).fill("/v1/chat/completions"),
    ...Array<string>(3).fill("/v1/completions"),
  ]);
  expect(server.bodies.map(({ model }) => model)).toEqual(["a", "b", "m", "m", "a"]);
  expect(server.bodies[0]?.messages?.[0]?.content.split(" ")).toHaveLength(4);
  expect(server.bodies[2]).toMatchObject({ prompt: requests[0]?.promptIds, lora: [{ id: 0 }], stream: true });
  expect(server.bodies[3]).toMatchObject({ lora: [{ id: 1 }] });
  // A chat's first chunk names the role and is no token.
  expect(chat.outcomes[0]?.pieceMs).toHaveLength(6);
});
