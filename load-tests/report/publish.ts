/**
 * `--publish`: the results of a run become files of the repository. load-tests/results/<commit>.json has all samples,
 * <commit>.md the tables, docs/benchmarks.md the promised rows of the newest runs.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../../src/errors.ts";
import { summaryTable } from "./goals.ts";
import { type ScenarioResult, markdownTable } from "./figures.ts";
import { type PublishedRun, benchmarksPage } from "./benchmarks-page.ts";
import { type Circumstances, headline } from "./circumstances.ts";

/** Written by hand below the tables; a later run of the same commit keeps them. */
const NOTES = "\n## Notes\n";

/**
 * Adds to what the commit has; a scenario that was measured before is replaced.
 * @returns the file of the tables
 * @throws {AppError} usage, where no commit is known or the commit has results of another kind of CPU
 */
export function publish(root: string, where: Circumstances, results: readonly ScenarioResult[]): string {
  if (where.commit === "")
    throw new AppError("usage", "--publish wants a checkout with git: results are named by commit.");
  const folder = join(root, "load-tests", "results");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${where.commit}.json`);
  const earlier = existsSync(path) ? readRun(path) : null;
  if (earlier !== null && earlier.cpuKind !== where.cpuKind) throw new AppError("usage", otherCpu(earlier, where));
  const kept = (earlier?.results ?? []).filter((old) => !results.some(({ scenario }) => scenario === old.scenario));
  const command = [earlier?.command, where.command].filter((one) => one !== undefined);
  const run = { ...where, command: [...new Set(command)].join("`, `"), results: [...kept, ...results] };
  writeFileSync(path, `${JSON.stringify(run, null, 2)}\n`);
  const page = join(folder, `${where.commit}.md`);
  const notes = existsSync(page) ? readFileSync(page, "utf8").split(NOTES)[1] : undefined;
  writeFileSync(page, resultsPage(run) + (notes === undefined ? "" : NOTES + notes));
  writeFileSync(join(root, "docs", "benchmarks.md"), benchmarksPage(publishedRuns(root)));
  return page;
}

function otherCpu({ cpuKind: earlier, commit }: Circumstances, { cpuKind: here }: Circumstances): string {
  return (
    `--publish wants one kind of CPU for a commit. ${commit} has results of ${earlier}, and this CPU has ${here}. ` +
    "Publish from another commit."
  );
}

/** Every run in load-tests/results. */
export function publishedRuns(root: string): PublishedRun[] {
  const folder = join(root, "load-tests", "results");
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.toSorted().map((file) => readRun(join(folder, file)));
}

/** The tables of one run, the promised rows first. */
function resultsPage(run: PublishedRun): string {
  return `# Results at ${run.commit}\n\n${headline(run)}\n\n${summaryTable(run.results)}\n${markdownTable(run.results)}`;
}

const readRun = (path: string): PublishedRun => JSON.parse(readFileSync(path, "utf8")) as PublishedRun; // we wrote it
