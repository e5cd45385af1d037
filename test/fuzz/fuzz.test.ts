/**
 * Damaged inputs for every parser of bytes from outside: those that were once a fault, and new ones. `npm run fuzz`
 * runs millions.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { outcomeOf } from "../../fuzz/outcome.ts";
import { TARGETS, targetNamed } from "../../fuzz/targets.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { tempDir } from "../helpers/server.ts";

/** Threads that read inputs take their time on a busy machine. */
vi.setConfig({ testTimeout: 300_000 });
const CORPUS = join(packageRoot(), "test", "fuzz", "corpus");
const NUM_RUNS = 400;

function fuzz(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(packageRoot(), "dist", "fuzz", "run.js"), ...args],
    { encoding: "utf8" },
  );
  const rows = [...stdout.matchAll(/^(\S+) +(\d+) runs +(\d+) read +(\d+) faults$/gm)];
  return {
    status,
    stdout,
    stderr,
    rows: rows.map(([, name, ...numbers]) => ({ name, numbers: numbers.map(Number) })),
  };
}

describe("the inputs that were once a fault", () => {
  const kept = readdirSync(CORPUS).flatMap((target) =>
    readdirSync(join(CORPUS, target)).map((file) => [target, file] as const),
  );
  it.each(kept)("%s %s is read or refused", async (target, file) => {
    expect(await outcomeOf(targetNamed(target), readFileSync(join(CORPUS, target, file)))).toMatch(/^(read|refused)$/);
  });
});

describe("npm run fuzz", () => {
  it("finds no fault, and each parser reads some inputs and refuses others", () => {
    const run = fuzz("--runs", String(NUM_RUNS * TARGETS.length), "--state", tempDir(), "--corpus", tempDir());
    expect([run.status, run.stderr.match(/^\S+ run \d+: .*/gm)]).toEqual([0, null]);
    expect(run.rows.map(({ name }) => name)).toEqual(TARGETS.map(({ name }) => name));
    for (const { name, numbers } of run.rows) {
      const [runs = 0, read = 0] = numbers;
      expect([name, runs, read > runs / 100, read < runs]).toEqual([name, NUM_RUNS, true, true]);
    }
  });

  it("finds each kind of fault, and keeps its input", () => {
    const reasons = {
      error: "TypeError: planted",
      hang: "it took more than 0.5 s",
      heap: "it ended the thread",
      buffer: /it took \d{9} bytes outside of the heap/,
    };
    const kinds = Object.keys(reasons).map((kind) => `planted-${kind}`);
    const corpus = tempDir();
    const flags = kinds.flatMap((name) => ["--target", name]);
    const run = fuzz("--runs", String(kinds.length), ...flags, "--state", tempDir(), "--corpus", corpus);
    expect(run.status).toBe(1);
    for (const [kind, reason] of Object.entries(reasons)) {
      expect(run.stderr.split("\n").find((line) => line.startsWith(`planted-${kind} run 0: `))).toMatch(reason);
      expect(readdirSync(join(corpus, `planted-${kind}`))).toHaveLength(1);
    }
  });

  it("continues a run that was stopped, and refuses the state of another seed", () => {
    const state = tempDir();
    mkdirSync(state, { recursive: true });
    const args = ["--target", "keys-file", "--state", state, "--corpus", tempDir()];
    expect(fuzz("--runs", "100", ...args).rows).toMatchObject([{ numbers: [100, expect.any(Number), 0] }]);
    const more = fuzz("--runs", "150", ...args);
    expect([more.rows[0]?.numbers[0], more.stderr]).toEqual([150, expect.stringContaining("keys-file: 150 runs")]);
    expect(fuzz("--runs", "150", "--seed", "2", ...args).stderr).toContain("has the state of the seed 1");
  });
});
