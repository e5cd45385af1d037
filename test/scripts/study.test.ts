/**
 * The study from end to end at toy size: every method trained, measured and put into a page. Needs dist/ and the
 * shipped demo.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { cellOf, meanGain } from "../../scripts/study/summary.ts";
import { REFERENCE, SMOKE_SETTINGS } from "../../scripts/study/settings.ts";
import type { RunResult } from "../../scripts/study/results.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-study-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function runStudy(): { status: number | null; stderr: string } {
  const script = join(packageRoot(), "dist", "scripts", "study.js");
  const args = [script, "--smoke", "--work", join(dir, "work"), "--out", join(dir, "study.md")];
  const { MOSARA_DATA: _, ...env } = process.env; // E2E is not reachable for everybody
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: packageRoot(), encoding: "utf8", env });
  return { status, stderr };
}

const read = (name: string): string => readFileSync(join(dir, name), "utf8");

describe("the study", () => {
  it("trains and measures every method, writes the page, and runs nothing twice", { timeout: 600_000 }, () => {
    const first = runStudy();
    expect(first.status, first.stderr).toBe(0);
    const page = read("study.md");
    for (const { name } of SMOKE_SETTINGS)
      expect(page).toMatch(new RegExp(`^\\| ${name.replaceAll(/[.*+?()]/g, "\\$&")} \\| 1 \\|`, "m"));
    const files = [...page.matchAll(/\]\((study\/[^)]+\.svg)\)/g)].map(([, file = ""]) => file);
    expect(files.length).toBeGreaterThanOrEqual(5);
    for (const file of files) expect(read(file)).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    const known = read("study/results.jsonl");
    const { mtimeMs } = statSync(join(dir, "study", "results.jsonl"));
    const second = runStudy();
    expect(second.status, second.stderr).toBe(0);
    expect(second.stderr).not.toContain("mosara train");
    expect(read("study/results.jsonl")).toBe(known);
    expect(statSync(join(dir, "study", "results.jsonl")).mtimeMs).toBe(mtimeMs);
  });
});

describe("a gain", () => {
  const others = { baseId: "b", steps: 1, baseLoss: 5, numParams: 1, bytes: 1, baseScore: 0, score: 0, seconds: 1 };
  const run = (task: string, setting: string, seed: number, loss: number): RunResult => ({
    ...others,
    task,
    setting,
    seed,
    loss,
  });
  const runs = [
    run("a", REFERENCE, 1, 3),
    run("a", REFERENCE, 2, 1), // a mean drop of 3
    run("a", "other", 1, 3.5), // a drop of 1.5
    run("b", REFERENCE, 1, 4), // a drop of 1
    run("b", "other", 1, 3), // a drop of 2
    run("c", "other", 1, 0), // nothing to compare it with
  ];

  it("is the loss drop over that of the reference on the same task, both as means over seeds", () => {
    expect(cellOf(runs, "a", "other")).toMatchObject({ gain: 0.5, numSeeds: 1 });
    expect(cellOf(runs, "a", REFERENCE)).toMatchObject({ gain: 1, loss: 2, lossSpread: 2, numSeeds: 2 });
    expect(cellOf(runs, "c", "missing")).toBeNull();
  });

  it("is averaged over the tasks that have a reference", () => {
    expect(meanGain(runs, ["a", "b", "c"], "other")).toBe(1.25);
  });
});
