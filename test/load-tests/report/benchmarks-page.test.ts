/** docs/benchmarks.md and the files that `--publish` writes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { PROMISES } from "../../../load-tests/report/goals.ts";
import { type Figure, ratio } from "../../../load-tests/report/figures.ts";
import { type PublishedRun, benchmarksPage } from "../../../load-tests/report/benchmarks-page.ts";
import { publish, publishedRuns } from "../../../load-tests/report/publish.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";

const WHERE = {
  cpu: "A processor",
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

const linesOf = (page: string): string[] =>
  page.split("\n").filter((line) => /^\| (\*\*(yes|no)|not measured)/.test(line));

describe("the page of benchmarks", () => {
  it("begins every line with yes or no, and has a line for every promise", () => {
    const lines = linesOf(benchmarksPage([run("2026-01-02", "abc1234", merged(1.2))]));
    expect(lines).toHaveLength(PROMISES.length);
    expect(lines[0]).toBe("| **no** | merged ÷ bare base | 0.98–1.02 | merged ÷ bare | 1.20 |  | × | `abc1234` |");
    expect(lines.slice(1).every((line) => line.startsWith("| not measured |"))).toBe(true);
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
    expect(page).toContain("- `old`, 2026-01-02: 2 cores (A processor), 24 GiB, Node v20.20.0, linux-x64.");
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

  it("is refused where no commit is known", () => {
    expect(() => publish(checkout(), { ...WHERE, commit: "" }, [])).toThrow(/--publish wants a checkout with git/);
  });
});
