import { describe, expect, it } from "vitest";
import { measureMerge } from "../../src/placement/measure-merge.ts";
import type { SequenceRequest, SequenceStream } from "../../src/engine/engine.ts";
import type { PromptLogprob } from "../../src/engine/protocol.ts";
import { BufferedSequenceStream } from "../../src/engine/server/sequence-stream.ts";

/** Scores every position with the same distribution over three tokens. */
const engineOf =
  (probabilities: readonly number[], requests: SequenceRequest[] = []) =>
  (request: SequenceRequest): SequenceStream => {
    requests.push(request);
    const stream = new BufferedSequenceStream(() => {});
    const logprobs: PromptLogprob[] = Array.from(request.promptIds.slice(1), () => ({
      logprob: Math.log(probabilities[0] ?? 0),
      topIds: probabilities.map((_, id) => id),
      topLogprobs: probabilities.map(Math.log),
      rank: 1,
    }));
    stream.push({ type: "prompt-scored", logprobs });
    stream.push({
      type: "finished",
      reason: "length",
      queueSeconds: 0,
      adapterSeconds: 0,
      prefillSeconds: 0,
      decodeSeconds: 0,
    });
    return stream;
  };

describe("the measure of a merge", () => {
  it("is 0 for equal distributions, with the adapter live and without it merged", async () => {
    const [live, merged]: [SequenceRequest[], SequenceRequest[]] = [[], []];
    const report = await measureMerge("g", engineOf([0.7, 0.2, 0.1], live), engineOf([0.7, 0.2, 0.1], merged), 50, 512);
    expect(report).toMatchObject({ maxAbsLogitDifference: 0, kl: 0 });
    expect(live.every(({ adapter }) => adapter?.generation === "g")).toBe(true);
    expect(merged.every(({ adapter }) => adapter === null)).toBe(true);
    expect(live.every(({ promptIds }) => promptIds.every((id) => id >= 0 && id < 50))).toBe(true);
  });

  it("is the largest difference and the mean divergence otherwise", async () => {
    const [p, q] = [
      [0.7, 0.2, 0.1],
      [0.5, 0.3, 0.2],
    ] as const;
    const report = await measureMerge("g", engineOf(p), engineOf(q), 50, 512);
    expect(report.maxAbsLogitDifference).toBeCloseTo(Math.log(0.2 / 0.1), 12);
    expect(report.kl).toBeCloseTo(
      p.reduce((sum, value, i) => sum + value * Math.log(value / (q[i] as number)), 0),
      12,
    );
  });

  it("keeps to short contexts", async () => {
    const requests: SequenceRequest[] = [];
    await measureMerge("g", engineOf([1], requests), engineOf([1]), 50, 8);
    expect(requests.every(({ promptIds, maxTokens }) => promptIds.length <= 8 && maxTokens === 0)).toBe(true);
  });
});
