import { describe, expect, it } from "vitest";
import { RESTART_POLICY, restartDelayMs } from "../../../src/engine/server/engine-unit.ts";

describe("restart pauses", () => {
  it("double from 0.2 s and stay at 10 s, however long the loop runs", () => {
    const delays = [0, 1, 2, 5, 6, 2000].map((numFailures) => restartDelayMs(RESTART_POLICY, numFailures));
    expect(delays).toEqual([200, 400, 800, 6400, 10_000, 10_000]);
  });
});
