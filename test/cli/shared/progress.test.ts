import { describe, expect, it } from "vitest";
import { Progress } from "../../../src/cli/shared/progress.ts";

const follow = (isTTY: boolean) => {
  const output = { isTTY, text: "", write: (text: string) => (output.text += text) };
  const clock = { now: 0 };
  return { output, clock, progress: new Progress(output, () => clock.now) };
};

describe("progress", () => {
  it("is a plain line at the start of a stage and every five seconds where nobody looks", () => {
    const { output, clock, progress } = follow(false);
    for (clock.now = 0; clock.now <= 12_000; clock.now += 100) progress.update("weights", clock.now / 20_000);
    progress.update("bases", 0);
    progress.end();
    expect(output.text).toBe("weights: 0 %\nweights: 25 %\nweights: 50 %\nbases: 0 %\n");
  });

  it("is a bar on one line of a terminal, full at the end", () => {
    const { output, clock, progress } = follow(true);
    for (let i = 0; i <= 10; i++, clock.now += 50) progress.update("weights", i / 10);
    progress.end();
    expect(output.text.match(/\r/g)?.length).toBe(6); // every 100 ms
    expect(output.text).toMatch(/\rweights \[={30}\] 100 %\n$/);
  });

  it("never shows more than all or less than nothing", () => {
    const { output, progress } = follow(false);
    progress.update("a", 1.5);
    progress.update("b", -1);
    expect(output.text).toBe("a: 100 %\nb: 0 %\n");
  });
});
