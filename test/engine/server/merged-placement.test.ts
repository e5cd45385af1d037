/** Merged engines beside the live one, as processes over a toy model: placement, statistics, turns. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { StepStats } from "../../../src/engine/protocol.ts";
import { AppError } from "../../../src/errors.ts";
import { sequenceRequest } from "../../helpers/engine/sequences.ts";
import { toyGreedy } from "../../helpers/engine/toy-runner.mjs";
import {
  SCRATCH,
  REPORT,
  startReady,
  tokensOf,
  firstToken,
  until,
  livePid,
  useToyEngines,
} from "../../helpers/engine/toy-engines.ts";

useToyEngines();

describe("merged placement", () => {
  const adapter = { generation: "g1" };

  it("serves a generation from its own process, and live again after that one is gone", async () => {
    const requests: string[] = [];
    const engine = await startReady(
      {},
      {
        measureMerge: async (generation, live, merged) => {
          const request = sequenceRequest([5], { adapter: { generation } });
          const answers = await Promise.all([tokensOf(live(request)), tokensOf(merged(request))]);
          requests.push(...answers.map((answer) => answer.join()));
          return REPORT;
        },
      },
    );
    const report = await engine.merge("g1");
    expect(report.seconds).toBeGreaterThan(0);
    expect(requests).toEqual(Array(2).fill(toyGreedy([5], "g1", 4).join()));
    expect([...engine.mergedGenerations()]).toEqual(["g1"]);
    // With the live process gone, only the merged one can answer.
    process.kill(livePid(engine), "SIGKILL");
    await until(() => !engine.readiness().isReady);
    expect(await tokensOf(engine.submit(sequenceRequest([1], { adapter })))).toEqual(toyGreedy([1], "g1", 4));
    await until(() => engine.readiness().isReady);
    await engine.unmerge("g1");
    expect([...engine.mergedGenerations()]).toEqual([]);
    expect(engine.pids().length).toBe(1);
    expect(await tokensOf(engine.submit(sequenceRequest([1], { adapter })))).toEqual(toyGreedy([1], "g1", 4));
  });

  it("names its generation in the statistics, summed with the live engine's", async () => {
    const engine = await startReady({ stepMs: 3 });
    await engine.merge("g1");
    const seen: StepStats[] = [];
    engine.onStats((stats) => seen.push(stats));
    await Promise.all([
      tokensOf(engine.submit(sequenceRequest([1], { adapter, maxTokens: 20 }))),
      tokensOf(engine.submit(sequenceRequest([2], { adapter: { generation: "g2" }, maxTokens: 20 }))),
    ]);
    expect(
      seen.some(({ numRunning, runningAdapters }) => numRunning === 2 && runningAdapters.toSorted().join() === "g1,g2"),
    ).toBe(true);
    expect(seen.at(-1)).toMatchObject({ numRunning: 0, runningAdapters: [] });
  });

  it("lets the sequences of a merged engine end before it goes", async () => {
    const engine = await startReady({ stepMs: 5 });
    await engine.merge("g1");
    const answer = tokensOf(engine.submit(sequenceRequest([1], { adapter, maxTokens: 30 })));
    await engine.unmerge("g1");
    expect(await answer).toEqual(toyGreedy([1], "g1", 30));
  });

  it("is live while the merged process restarts", async () => {
    const engine = await startReady();
    await engine.merge("g1");
    const merged = engine.pids()[1];
    if (merged === undefined) throw new Error("no merged process");
    const running = await firstToken(engine.submit(sequenceRequest([1], { adapter, maxTokens: 900 })));
    process.kill(merged, "SIGKILL");
    await expect(async () => {
      for (;;) if ((await running.next()).done === true) return;
    }).rejects.toMatchObject({ code: "engine_unavailable" });
    expect(await tokensOf(engine.submit(sequenceRequest([1], { adapter })))).toEqual(toyGreedy([1], "g1", 4));
    expect(engine.readiness().isReady).toBe(true);
    await until(() => engine.pids()[1] !== merged);
  });

  it("refuses beyond --max-merged, and gives the place back after a failure", async () => {
    const engine = await startReady(
      {},
      {
        prepareMerged: (generation) =>
          generation === "bad"
            ? Promise.reject(new AppError("not_mergeable", "Five heads cannot be merged."))
            : Promise.resolve(JSON.stringify({ generation })),
      },
    );
    await expect(engine.merge("bad")).rejects.toMatchObject({ code: "not_mergeable" });
    const [first, again] = [engine.merge("g1"), engine.merge("g1")];
    await expect(engine.merge("g2")).rejects.toMatchObject({ code: "insufficient_memory" });
    expect(await first).toEqual(await again);
    expect(engine.pids().length).toBe(2);
    await engine.unmerge("g1");
    await engine.merge("g2");
    expect([...engine.mergedGenerations()]).toEqual(["g2"]);
  });

  it("gives up a merge that is undone while it is under way", async () => {
    const engine = await startReady(
      {},
      { prepareMerged: (generation) => Promise.resolve(JSON.stringify({ generation, openMs: 60_000 })) },
    );
    const merging = expect(engine.merge("g1")).rejects.toMatchObject({ code: "engine_unavailable" });
    await until(() => engine.pids().length === 2);
    await engine.unmerge("g1");
    await merging;
    expect([engine.pids().length, engine.mergedGenerations().size]).toEqual([1, 0]);
  });
});

describe("turns between processes", () => {
  it("let one step run at a time, in alternation, while both have work", async () => {
    const logPath = join(SCRATCH, "steps.log");
    const engine = await startReady({ stepMs: 4, logPath });
    await engine.merge("g1");
    rmSync(logPath, { force: true });
    await Promise.all([
      tokensOf(engine.submit(sequenceRequest([1], { maxTokens: 60 }))),
      tokensOf(engine.submit(sequenceRequest([1], { adapter: { generation: "g1" }, maxTokens: 60 }))),
    ]);
    const lines = readFileSync(logPath, "utf8").trim().split("\n");
    const steps = lines
      .map((line) => line.split(" "))
      .map(([pid, begin, end]) => ({ pid, begin: BigInt(begin ?? 0), end: BigInt(end ?? 0) }))
      .sort((a, b) => (a.begin < b.begin ? -1 : 1));
    expect(steps.length).toBe(120);
    const pairs = steps.slice(1).map((step, i) => [steps[i]!, step] as const); // i is in range
    const numOverlaps = pairs.filter(([one, next]) => next.begin < one.end).length;
    expect(numOverlaps).toBe(0);
    // The first step of one may come before the other's request arrived; after that they take turns to the end.
    const numSwitches = pairs.filter(([one, next]) => one.pid !== next.pid).length;
    expect(numSwitches).toBeGreaterThan(100);
  });
});
