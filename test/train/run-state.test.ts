import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  INITIAL_STATE,
  type RunState,
  afterEvaluation,
  afterStep,
  afterWatch,
  divergence,
} from "../../src/train/run-state.ts";
import { learningRateAt, warmupSteps } from "../../src/train/schedule.ts";
import { StepLog, readStepLog } from "../../src/train/step-log.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-run-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const withLosses = (losses: readonly number[]): RunState => losses.reduce(afterStep, INITIAL_STATE);

describe("a run's state", () => {
  it("takes the evaluation at step 0 for the base's, never for the best", () => {
    expect(afterEvaluation(INITIAL_STATE, 2, 1)).toMatchObject({ baseLoss: 2, best: null, isStopped: false });
  });

  it("keeps the best evaluation and stops after so many worse ones", () => {
    let state = afterEvaluation(withLosses([1]), 3, 2);
    for (const [loss, stopped] of [
      [2, false],
      [2.5, false],
      [1.9, false],
      [1.9, false],
      [2, true],
    ] as const) {
      state = afterEvaluation(afterStep(state, 1), loss, 2);
      expect(state.isStopped).toBe(stopped);
    }
    expect(state.best).toEqual({ step: 4, evalLoss: 1.9 });
  });

  it("diverges when a whole window lies far above the first loss, not when one step does", () => {
    expect(divergence(withLosses([2, ...Array<number>(30).fill(1), 90]))).toBeNull();
    expect(divergence(withLosses([2, ...Array<number>(20).fill(4.1)]))).toEqual({ from: 2, to: 4.1 });
    expect(divergence(withLosses([2, 9, 9]))).toBeNull();
  });

  it("diverges when a whole window lies far above what was learned, even if below the first loss", () => {
    const learned = [8, ...Array<number>(30).fill(0.2)];
    expect(divergence(withLosses([...learned, ...Array<number>(9).fill(5)]))).toBeNull();
    expect(divergence(withLosses([...learned, ...Array<number>(20).fill(5)]))).toEqual({ from: 0.2, to: 5 });
    expect(divergence(withLosses([...learned, ...Array<number>(20).fill(1.5)]))).toBeNull();
  });

  it("remembers, without evaluation, where the recent losses were lowest", () => {
    const early = afterWatch(withLosses([3, 2]));
    expect(early.calm).toEqual({ step: 2, loss: 2.5 });
    expect(afterWatch(afterStep(early, 9)).calm).toEqual({ step: 2, loss: 2.5 });
    expect(afterWatch(afterStep(early, 1)).calm).toEqual({ step: 3, loss: 2 });
  });

  it("survives JSON exactly", () => {
    const state = withLosses([Math.PI, 1 / 3, 5e-324]);
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
  });
});

describe("the schedule", () => {
  it("peaks at the last step of the warm-up and ends at the floor", () => {
    const schedule = { peak: 2, steps: 10, warmupSteps: 4, floor: 0.1 };
    expect([0, 3, 9].map((step) => learningRateAt(schedule, step))).toEqual([0.5, 2, expect.closeTo(0.2, 12)]);
    expect(learningRateAt({ ...schedule, warmupSteps: 10 }, 9)).toBe(2);
    expect(learningRateAt({ ...schedule, steps: 1, warmupSteps: 0 }, 0)).toBeCloseTo(0.2, 12);
  });

  it("takes the warm-up as steps or as a share", () => {
    expect([warmupSteps(0.06, 100), warmupSteps(7, 100), warmupSteps(200, 100), warmupSteps(0, 9)]).toEqual([
      6, 7, 100, 0,
    ]);
  });
});

describe("the step log", () => {
  const line = (step: number) => ({ step, evalLoss: step / 3 });

  it("is cut back to where the run continues, in the middle of a line too", () => {
    const path = join(dir, "a.jsonl");
    let kept = 0;
    {
      using log = new StepLog(path, 0);
      log.append(line(1));
      kept = log.bytes;
      log.append(line(2));
      log.append(line(3));
    }
    {
      using log = new StepLog(path, kept);
      log.append(line(4));
    }
    expect(readStepLog(path)).toEqual([line(1), line(4)]);
    expect(readFileSync(path).length).toBeGreaterThan(kept);
  });

  it("begins anew with nothing kept, and where less is left than was saved", () => {
    const path = join(dir, "b.jsonl");
    for (const keep of [0, 10_000, 0]) {
      using log = new StepLog(path, keep);
      log.append(line(keep));
    }
    expect(readStepLog(path)).toEqual([line(0)]);
  });
});
