/** The scenarios that put a server under load from end to end, on a model so small that their times mean nothing. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const RUN = fileURLToPath(new URL("../../dist/load-tests/run.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "mosara-served-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Figure {
  readonly what: string;
  readonly samples: readonly number[];
  readonly goal?: { readonly atLeast?: number; readonly atMost?: number };
}

function figuresOf(scenario: string): readonly Figure[] {
  const out = join(folder, `${scenario}.json`);
  const args = [RUN, scenario, "--smoke", "--weights", "float32", "--work", folder, "--out", out];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 170_000 });
  expect(status, stderr).toBe(0);
  const { results } = JSON.parse(readFileSync(out, "utf8")) as { results: { figures: Figure[] }[] };
  return results.flatMap(({ figures }) => figures);
}

/** The promised figures of every scenario, and their bounds. */
const GOALS = {
  overload: [
    ["goodput at 2 × what it can ÷ peak", { atLeast: 0.9 }],
    ["goodput at 5 × what it can ÷ peak", { atLeast: 0.9 }],
    ["goodput at 10 × what it can ÷ peak", { atLeast: 0.9 }],
  ],
  merged: [["merged ÷ bare base, 16 clients", { atLeast: 0.98, atMost: 1.02 }]],
  residency: [
    ["start with all − with one", { atMost: 2 }],
    ["first token p99, 300 at random ÷ one", { atMost: 1.1 }],
    ["event-loop delay p99 under lists", { atMost: 50 }],
  ],
} as const;

it.each(["overload", "merged", "residency"] as const)(
  "%s gives all of its figures",
  { timeout: 180_000 },
  (scenario) => {
    const figures = figuresOf(scenario);
    for (const { what, samples } of figures) {
      expect(samples.length, what).toBeGreaterThan(0);
      expect(samples.every(Number.isFinite), `${what}: ${samples.join()}`).toBe(true);
    }
    expect(figures.filter(({ goal }) => goal).map(({ what, goal }) => [what, goal])).toEqual(GOALS[scenario]);
    const of = (what: string): number => figures.find((figure) => figure.what === what)?.samples[0] ?? NaN;
    if (scenario === "overload") {
      expect(of("requests refused at the door")).toBeGreaterThan(0);
      for (const [what] of GOALS.overload) expect(of(what), what).toBeGreaterThan(0);
    }
    if (scenario === "merged") expect(of("memory of the merged engine")).toBeGreaterThan(10);
  },
);
