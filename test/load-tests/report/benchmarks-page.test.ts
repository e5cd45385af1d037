/** docs/benchmarks.md and the files that `--publish` writes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { PROMISES } from "../../../load-tests/report/goals.ts";
import { type Figure, ratio } from "../../../load-tests/report/figures.ts";
import { cpuKindOf } from "../../../load-tests/report/circumstances.ts";
import { type PublishedRun, benchmarksPage } from "../../../load-tests/report/benchmarks-page.ts";
import { publish, publishedRuns } from "../../../load-tests/report/publish.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";

const WHERE = {
  cpu: "A processor",
  cpuKind: "AVX2",
  cores: 2,
  memoryBytes: 24 * 2 ** 30,
  node: "v20.20.0",
  platform: "linux-x64",
  commit: "abc1234",
  command: "npm run bench --",
  date: "2026-01-02",
};

const merged = (value: number): Figure =>
  ratio("merged ÷ bare", [value], [1], { atLeast: 0.98, atMost: 1.02 }, "merged");

const run = (date: string, commit: string, ...figures: Figure[]): PublishedRun => ({
  ...WHERE,
  date,
  commit,
  results: [{ scenario: "s", figures }],
});

const linesOf = (page: string): string[] => page.split("\n").filter((line) => /^\| \*\*(yes|no)/.test(line));

describe("the page of benchmarks", () => {
  it("begins every measured line with yes or no, and names the scenarios of the others", () => {
    const page = benchmarksPage([run("2026-01-02", "abc1234", merged(1.2))]);
    expect(linesOf(page)).toEqual([
      "| **no** | merged ÷ bare base | 0.98–1.02 | merged ÷ bare | 1.20 |  | × | `abc1234` |",
    ]);
    const [, missing = ""] = page.split("## Not measured");
    for (const { name, what, target, scenario } of PROMISES)
      expect(missing.includes(`| ${what} | ${target} | ${scenario} |`), name).toBe(name !== "merged");
  });

  it("has a table for each kind of CPU, with the newest run on it", () => {
    const other = { ...run("2026-03-01", "vnni", merged(1.3)), cpuKind: "AVX-512 VNNI" };
    const page = benchmarksPage([run("2026-01-02", "plain", merged(1)), other]);
    const [, vnni = "", plain = ""] = page.split("## On a CPU with ");
    expect([vnni, plain].map((part) => part.split("\n")[0])).toEqual(["AVX-512 VNNI", "AVX2"]);
    expect([linesOf(vnni), linesOf(plain)].map(([line, ...more]) => [line?.includes("1.30"), more.length])).toEqual([
      [true, 0],
      [false, 0],
    ]);
    expect(vnni).toContain("0 of 1 lines meet their goal.");
    expect(plain).toContain("1 of 1 lines meet their goal.");
  });

  it.each([
    [["avx2", "avx512f", "avx512_vnni", "amx_int8"], "AVX-512 VNNI and AMX"],
    [["avx2", "avx512f", "avx512_vnni"], "AVX-512 VNNI"],
    [["avx2", "avx_vnni"], "AVX2 VNNI"],
    [["avx2", "fma"], "AVX2"],
    [[], "arm64"],
  ])("calls a CPU with %j %s", (features, kind) => {
    expect(cpuKindOf({ arch: "arm64", features })).toBe(kind);
  });

  it("takes each promise from the newest run that measured it", () => {
    const soak: Figure = { what: "soak", unit: "×", samples: [1.01], goal: { atMost: 1.05 }, row: "soak" };
    const page = benchmarksPage([run("2026-01-02", "old", merged(1.2), soak), run("2026-02-01", "new", merged(1))]);
    const [first, second] = linesOf(page);
    expect([first, second].map((line) => [line?.includes("yes"), line?.includes("`new`")])).toEqual([
      [true, true],
      [true, false],
    ]);
    expect(page).toContain("**2 of 2 lines meet their goal.**");
    expect(page).toContain("- `old`, 2026-01-02: 2 cores (A processor, AVX2), 24 GiB, Node v20.20.0, linux-x64.");
  });

  it("is in the repository as the published results say", () => {
    expect(
      readFileSync(join(packageRoot(), "docs", "benchmarks.md"), "utf8"),
      "run npm run build && node dist/scripts/make-docs.js",
    ).toBe(benchmarksPage(publishedRuns(packageRoot())));
  });
});

describe("publishing", () => {
  const folders: string[] = [];
  afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

  function checkout(): string {
    const root = mkdtempSync(join(tmpdir(), "mosara-publish-"));
    folders.push(root);
    mkdirSync(join(root, "docs"));
    return root;
  }

  it("adds scenarios to those of the same commit, and keeps the notes below the tables", () => {
    const root = checkout();
    const page = publish(root, WHERE, [{ scenario: "merged", figures: [merged(1.2)] }]);
    writeFileSync(page, `${readFileSync(page, "utf8")}\n## Notes\n\nA busy machine.\n`);
    publish(root, { ...WHERE, command: "npm run soak --" }, [{ scenario: "soak", figures: [] }]);
    publish(root, WHERE, [{ scenario: "merged", figures: [merged(1)] }]);
    const [published] = publishedRuns(root);
    expect(published?.results.map(({ scenario }) => scenario)).toEqual(["soak", "merged"]);
    expect(readFileSync(page, "utf8")).toMatch(
      /\| merged \| merged ÷ bare \| 1\.00 [^]*## Notes\n\nA busy machine\.\n$/,
    );
    expect(readFileSync(join(root, "docs", "benchmarks.md"), "utf8")).toContain("| **yes** | merged ÷ bare base |");
  });

  it("is refused where the commit has results of another kind of CPU, which stay", () => {
    const root = checkout();
    publish(root, WHERE, [{ scenario: "merged", figures: [merged(1)] }]);
    expect(() => publish(root, { ...WHERE, cpuKind: "AVX-512 VNNI" }, [])).toThrow(
      /abc1234 has results of AVX2, and this CPU has AVX-512 VNNI\. Publish from another commit/,
    );
    expect(publishedRuns(root).map(({ cpuKind }) => cpuKind)).toEqual(["AVX2"]);
  });

  it("is refused where no commit is known", () => {
    expect(() => publish(checkout(), { ...WHERE, commit: "" }, [])).toThrow(/--publish wants a checkout with git/);
  });
});
