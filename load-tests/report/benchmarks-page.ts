/**
 * docs/benchmarks.md: a table for each kind of CPU, with every promise that was measured on it, its goal and the figure
 * of the newest published run. Pure.
 */
import { PROMISES, type PromisedRow } from "./goals.ts";
import { type Figure, type ScenarioResult, cellsOf, isMet, table } from "./figures.ts";
import { type Circumstances, machineText } from "./circumstances.ts";

/** One run whose results lie in load-tests/results. */
export interface PublishedRun extends Circumstances {
  readonly results: readonly ScenarioResult[];
}

interface Row {
  readonly promise: PromisedRow;
  readonly run: PublishedRun;
  readonly figure: Figure;
}

const HEAD = ["met", "promise", "goal", "measured", "median", "min–max", "unit", "commit"];

export function benchmarksPage(runs: readonly PublishedRun[]): string {
  const newestFirst = runs.toSorted((a, b) => b.date.localeCompare(a.date));
  const kinds = [...new Set(runs.map(({ cpuKind }) => cpuKind))].toSorted();
  const byKind = kinds.map((kind) => {
    const ofKind = newestFirst.filter(({ cpuKind }) => cpuKind === kind);
    return { kind, rows: PROMISES.flatMap((promise) => rowsOf(promise, ofKind)) };
  });
  const all = byKind.flatMap(({ rows }) => rows);
  const lines = [
    "# Benchmarks",
    "",
    "Each row is a promise, with its goal and its measured figure. A row with several formats has a line for each.",
    `**${numMet(all)} of ${all.length} lines meet their goal.** A goal that is missed says "no" and stays here.`,
    "",
    "Names of figures are short. A figure before ÷ is divided by the figure after it. `bare` is a base without",
    "adapters. `default` is the set of layers that a build adapts by default: q, v, o and down. `resident` is an adapter",
    "that is ready. `what it can` is the load that a server can just answer.",
    "",
    "The kind of a CPU decides the speed of matrix products, so each kind has a table. Some goals depend on it too.",
    "",
    ...byKind.flatMap(({ kind, rows }) => section(kind, rows)),
    ...missingSection(all),
    "Every figure is the median over the rounds of one run. A ratio is taken round by round, so that a machine that is",
    "slow for a while slows both sides. All other figures are in [the results](../load-tests/results), and",
    "[load-tests](../load-tests/README.md) says what each scenario does.",
    "",
    "This page is generated. `npm run bench -- --publish` and `npm run soak -- --publish` write it together with",
    "`load-tests/results/`. `node dist/scripts/make-docs.js` writes it again from there.",
    "",
  ];
  return lines.join("\n");
}

const numMet = (rows: readonly Row[]): number => rows.filter(({ figure }) => isMet(figure) === true).length;

/** The promises that were measured on one kind of CPU. */
function section(kind: string, rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const count = `${numMet(rows)} of ${rows.length} lines meet their goal.`;
  return [`## On a CPU with ${kind}`, "", count, "", table([HEAD, ...rows.map(cells)]), ...machines(rows), ""];
}

/** The promises that no run measured, with the scenarios that would. */
function missingSection(rows: readonly Row[]): string[] {
  const missing = PROMISES.filter(({ name }) => !rows.some(({ promise }) => promise.name === name));
  if (missing.length === 0) return [];
  const lines = missing.map(({ what, target, scenario }) => [what, target, scenario]);
  return ["## Not measured", "", table([["promise", "goal", "scenario"], ...lines])];
}

/** Of the newest run that measured the promise; older ones are history. */
function rowsOf(promise: PromisedRow, newestFirst: readonly PublishedRun[]): Row[] {
  for (const run of newestFirst) {
    const figures = run.results.flatMap((result) => result.figures).filter(({ row }) => row === promise.name);
    if (figures.length > 0) return figures.map((figure) => ({ promise, run, figure }));
  }
  return [];
}

function cells({ promise, run, figure }: Row): readonly string[] {
  const [measured = "", middle = "", range = "", unit = "", goal = "", met = ""] = cellsOf(figure);
  return [`**${met}**`, promise.what, goal, measured, middle, range, unit, `\`${run.commit}\``];
}

/** One line a commit: the machine and the day. */
function machines(rows: readonly Row[]): string[] {
  const runs = new Map(rows.map(({ run }) => [run.commit, run]));
  return [...runs.values()].map((run) => `- \`${run.commit}\`, ${run.date}: ${machineText(run)}.`);
}
