/**
 * The rhythm of prompts and running streams on a virtual clock. Costs are those of Qwen2's shape with 0.5 B parameters,
 * int4, as load-tests/results has them (2 cores): 25 tokens/s alone, 70 with 8 rows, 82 with 16, 170 prompt tokens/s. A
 * chunk of 64 tokens takes 1.5 times as long after 4,096 tokens as at the beginning.
 */
import { describe, expect, it } from "vitest";
import { Scheduler } from "../../../src/engine/scheduling/scheduler.ts";
import { Sequence } from "../../../src/engine/scheduling/sequence.ts";
import { quantile } from "../../../load-tests/report/figures.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { ToyRunner } from "../../helpers/engine/toy-runner.mjs";

interface Costs {
  readonly decodeMs: (numRows: number) => number;
  readonly chunkMs: (numTokens: number, past: number) => number;
}

const INT4: Costs = {
  decodeMs: (numRows) => 30 + 10.4 * numRows,
  chunkMs: (numTokens, past) => 40 + 5.3 * numTokens + 7.6e-4 * numTokens * past,
};
const WHOLE_CHUNK_MS = INT4.chunkMs(64, 0);
/** The last chunk of 64 tokens. Later ones are shorter. */
const LONGEST_CHUNK_MS = INT4.chunkMs(64, 1984);

interface Arrival {
  readonly atMs: number;
  readonly numPrompt: number;
  readonly maxTokens: number;
}

interface Outcome {
  readonly firstTokenMs: number;
  readonly gapsMs: readonly number[];
  readonly endMs: number;
}

/** Runs the scheduler as the loop does; every step takes what `costs` say. */
function simulate(arrivals: readonly Arrival[], costs: Costs, maxNumSeqs = 16): readonly Outcome[] {
  const limits = { maxNumSeqs, maxQueue: 1000, maxQueueTokens: 1_000_000 };
  const scheduler = new Scheduler(limits, new ToyRunner({ numRows: maxNumSeqs, maxTokens: 2 ** 24 }).kv);
  const times: number[][] = arrivals.map(() => []);
  let nowMs = 0;
  let numAdded = 0;
  const sample = (sequence: Sequence): void => {
    times[sequence.id]?.push(nowMs);
    sequence.append(1);
    if (times[sequence.id]?.length === sequence.spec.maxTokens) scheduler.remove(sequence);
  };
  for (;;) {
    for (let next = arrivals[numAdded]; next && next.atMs <= nowMs; next = arrivals[++numAdded]) {
      const prompt = Array.from({ length: next.numPrompt }, () => 1);
      const spec = sequenceSpec(numAdded, prompt, { maxTokens: next.maxTokens });
      scheduler.add(new Sequence(spec, nowMs), nowMs);
    }
    for (let next = scheduler.takeAdmissible(); next !== null; next = scheduler.takeAdmissible())
      scheduler.start(next, nowMs);
    const plan = scheduler.plan();
    if (plan === null) {
      const next = arrivals[numAdded];
      if (!next) break;
      nowMs = next.atMs;
    } else if (plan.phase === "prefill") {
      const ms = costs.chunkMs(plan.chunk.length, plan.chunk.past);
      nowMs += ms;
      scheduler.notePrefilled(plan.sequence, plan.chunk, ms / 1000);
      if (!plan.chunk.isLast) continue;
      sample(plan.sequence);
      if (scheduler.get(plan.sequence.id) !== null) scheduler.startDecoding(plan.sequence);
    } else {
      const ms = costs.decodeMs(plan.sequences.length);
      nowMs += ms;
      scheduler.noteDecoded();
      scheduler.noteDecodeTime(ms / 1000);
      for (const sequence of plan.sequences) sample(sequence);
    }
  }
  return times.map((at, index) => ({
    firstTokenMs: (at[0] ?? NaN) - (arrivals[index]?.atMs ?? NaN),
    gapsMs: at.slice(1).map((ms, token) => ms - (at[token] ?? NaN)),
    endMs: at.at(-1) ?? NaN,
  }));
}

const streams = (count: number, maxTokens: number): Arrival[] =>
  Array.from({ length: count }, () => ({ atMs: 0, numPrompt: 64, maxTokens }));

const prefillMs = (numPrompt: number, costs: Costs = INT4): number =>
  simulate([{ atMs: 0, numPrompt, maxTokens: 1 }], costs)[0]?.firstTokenMs ?? NaN;

describe("a prompt of 4096 tokens beside running streams", () => {
  const numPrompt = 4096;

  it.each([1, 4, 8, 15])("costs %i of them one chunk a token, and takes less than twice its own time", (count) => {
    const outcomes = simulate([...streams(count, 400), { atMs: 20_000, numPrompt, maxTokens: 1 }], INT4);
    const gaps = outcomes.slice(0, count).flatMap(({ gapsMs }) => gapsMs);
    const added = quantile(gaps, 0.99) - quantile(gaps, 0.5);
    // The median may be one of the gaps with a chunk in it; a step's own time is the smallest.
    const overDecode = quantile(gaps, 0.99) - INT4.decodeMs(count);
    const meanChunkMs = (64 * prefillMs(numPrompt)) / numPrompt;
    expect(Math.max(added, overDecode)).toBeLessThanOrEqual(1.2 * meanChunkMs);
    expect(outcomes[count]?.firstTokenMs).toBeLessThanOrEqual(2 * prefillMs(numPrompt));
  });

  // As on a device that computes a whole chunk as fast as a token.
  it.each([0.5, 1, 1.5, 3.5])("takes at most twice its own time where a decode step takes %f chunks", (ratio) => {
    const costs: Costs = { chunkMs: (numTokens) => numTokens, decodeMs: () => 64 * ratio };
    const outcomes = simulate([...streams(8, 400), { atMs: 5000, numPrompt, maxTokens: 1 }], costs);
    const alone = prefillMs(numPrompt, costs);
    // With the step that was under way when it came.
    expect(outcomes[8]?.firstTokenMs).toBeLessThanOrEqual(2 * alone + costs.decodeMs(8));
    const gaps = outcomes.slice(0, 8).flatMap(({ gapsMs }) => gapsMs.slice(10)); // after the eight prompts themselves
    expect(Math.max(...gaps)).toBeLessThanOrEqual(costs.decodeMs(9) + 64 * Math.max(1, Math.ceil(ratio)) + 1);
  });
});

describe("several prompts at once", () => {
  it("answers a short one as if the long ones were not there, but for the chunk under way and every other", () => {
    const long = Array.from({ length: 3 }, () => ({ atMs: 0, numPrompt: 4096, maxTokens: 1 }));
    const outcomes = simulate([...long, { atMs: 5000, numPrompt: 256, maxTokens: 1 }], INT4);
    expect(outcomes[3]?.firstTokenMs).toBeLessThanOrEqual(2 * prefillMs(256) + WHOLE_CHUNK_MS);
  });

  it("answers equal ones one after the other: none later than if they took turns, all but the last earlier", () => {
    const four = Array.from({ length: 4 }, () => ({ atMs: 0, numPrompt: 1024, maxTokens: 1 }));
    const first = simulate(four, INT4).map(({ firstTokenMs }) => firstTokenMs);
    expect(first.map((ms) => Math.round(ms / prefillMs(1024)))).toEqual([1, 2, 3, 4]);
  });

  it("gives a long one at least half of the time, whatever short ones come after it", () => {
    const alone = prefillMs(4096);
    const short = Array.from({ length: 400 }, (_, i) => ({ atMs: 200 * i, numPrompt: 64, maxTokens: 1 }));
    const [long] = simulate([{ atMs: 0, numPrompt: 4096, maxTokens: 1 }, ...short], INT4);
    expect(long?.firstTokenMs).toBeLessThanOrEqual(2 * alone + WHOLE_CHUNK_MS);
  });

  it("does not let a stream wait for a burst of long ones longer than for one", () => {
    const burst = Array.from({ length: 15 }, () => ({ atMs: 10_000, numPrompt: 2048, maxTokens: 1 }));
    const [stream] = simulate([...streams(1, 600), ...burst], INT4);
    const worst = Math.max(...(stream?.gapsMs ?? []));
    expect(worst).toBeLessThanOrEqual(INT4.decodeMs(1) + 4 * LONGEST_CHUNK_MS + 1); // when several are all but done
    expect(quantile(stream?.gapsMs ?? [], 0.95)).toBeLessThanOrEqual(INT4.decodeMs(1) + LONGEST_CHUNK_MS + 1);
  });

  // One by one, each after a decode step of those before it, sixteen of 40 tokens took 1.3 times as long.
  it.each([1, 32, 40, 64, 65, 128, 300])(
    "lets sixteen of %i tokens and their answers take little longer than if all decoded together",
    (numPrompt) => {
      const ideal = 16 * prefillMs(numPrompt) + 63 * INT4.decodeMs(16);
      for (const numEarly of [1, 16]) {
        const early = Array.from({ length: numEarly }, () => ({ atMs: 0, numPrompt, maxTokens: 64 }));
        const late = Array.from({ length: 16 - numEarly }, () => ({ atMs: 400, numPrompt, maxTokens: 64 }));
        const end = Math.max(...simulate([...early, ...late], INT4).map(({ endMs }) => endMs));
        expect(end / ideal, `${numEarly} of them first`).toBeLessThanOrEqual(numEarly === 16 ? 1.06 : 1.12);
      }
    },
  );
});
