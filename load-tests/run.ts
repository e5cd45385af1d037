/**
 * `npm run bench`: runs scenarios one after the other and prints their figures, the promised ones first. After every
 * scenario it writes JSON, markdown and a chart, so that an interrupted run leaves its results so far.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AppError } from "../src/errors.ts";
import { chart } from "./report/chart.ts";
import { summaryTable } from "./report/goals.ts";
import { type BenchOptions, flagsHelp, parseOptions } from "./options.ts";
import { type ScenarioResult, markdownTable } from "./report/figures.ts";
import { type Circumstances, circumstances, headline } from "./report/circumstances.ts";
import { publish } from "./report/publish.ts";
import type { Scenario } from "./scenario.ts";
import { blocksScenario } from "./scenarios/blocks.ts";
import { buildScenario } from "./scenarios/build.ts";
import { ceilingScenario } from "./scenarios/ceiling.ts";
import { clientsScenario } from "./scenarios/clients.ts";
import { engineScenario } from "./scenarios/engine.ts";
import { firstTokenScenario } from "./scenarios/first-token.ts";
import { gpuScenario } from "./scenarios/gpu.ts";
import { grammarScenario } from "./scenarios/grammar.ts";
import { httpScenario } from "./scenarios/http.ts";
import { jobsScenario } from "./scenarios/jobs.ts";
import { mergedScenario } from "./scenarios/merged.ts";
import { mixedScenario } from "./scenarios/mixed.ts";
import { overloadScenario } from "./scenarios/overload.ts";
import { peftScenario } from "./scenarios/peft.ts";
import { pacingScenario } from "./scenarios/pacing.ts";
import { peerScenario } from "./scenarios/beside/peer.ts";
import { prefixScenario } from "./scenarios/prefix.ts";
import { residencyScenario } from "./scenarios/residency.ts";
import { rivalsScenario } from "./scenarios/beside/rivals.ts";
import { samplingScenario } from "./scenarios/sampling.ts";
import { draftModelScenario } from "./scenarios/speculation/draft-model.ts";
import { speculationScenario } from "./scenarios/speculation/repeated-text.ts";
import { storeScenario } from "./scenarios/store/store.ts";
import { tenantsScenario } from "./scenarios/tenants/tenants.ts";
import { trainScenario } from "./scenarios/train.ts";
import { WorkFolder } from "./inputs/work-folder.ts";

const SCENARIOS: readonly Scenario[] = [
  engineScenario,
  ceilingScenario,
  blocksScenario,
  httpScenario,
  peerScenario,
  rivalsScenario,
  clientsScenario,
  mixedScenario,
  pacingScenario,
  prefixScenario,
  grammarScenario,
  speculationScenario,
  draftModelScenario,
  overloadScenario,
  mergedScenario,
  residencyScenario,
  storeScenario,
  buildScenario,
  firstTokenScenario,
  trainScenario,
  peftScenario,
  jobsScenario,
  tenantsScenario,
  samplingScenario,
  gpuScenario,
];

function help(): string {
  const scenarios = SCENARIOS.map(({ name, summary, takesUrl, isStandard }) =>
    [`  ${name}${takesUrl ? "*" : ""}`.padEnd(24), isStandard ? "" : "(not in the standard set) ", summary].join(""),
  );
  return [
    "Usage: npm run bench -- [scenario…] [flags]",
    "",
    "Scenarios (the standard set if none is named; * accepts --url):",
    ...scenarios,
    "",
    "Flags:",
    flagsHelp(),
    "",
  ].join("\n");
}

function chosen({ scenarios: names, remote }: BenchOptions): readonly Scenario[] {
  const scenarios = names.map((name) => {
    const found = SCENARIOS.find((scenario) => scenario.name === name);
    if (found) return found;
    const known = SCENARIOS.map((scenario) => scenario.name).join(", ");
    throw new AppError("usage", `There is no scenario "${name}"; there are ${known}.`);
  });
  if (remote === null) return names.length > 0 ? scenarios : SCENARIOS.filter(({ isStandard }) => isStandard);
  const foreign = SCENARIOS.filter(({ takesUrl }) => takesUrl);
  const other = scenarios.find((scenario) => !scenario.takesUrl);
  if (other || names.length === 0)
    throw new AppError(
      "usage",
      `--url goes with ${foreign.map(({ name }) => name).join(", ")}: ${other ? `${other.name} measures this project's own parts` : "name one of them"}.`,
    );
  return scenarios;
}

async function runAll(options: BenchOptions): Promise<void> {
  const scenarios = chosen(options);
  const note = (text: string): void => void process.stderr.write(`bench: ${text}\n`);
  const folder = new WorkFolder(options, note);
  const where = await circumstances("npm run bench --");
  const outFile = options.outFile ?? join(options.workDir, "results", `${where.date}-${where.commit}.json`);
  const results: (ScenarioResult & { readonly seconds: number })[] = [];
  for (const { name, run } of scenarios) {
    note(`scenario ${name}`);
    const startedAt = performance.now();
    const figures = await run({ options, folder, note });
    const seconds = Math.round((performance.now() - startedAt) / 1000 - folder.takeBuildSeconds());
    results.push({ scenario: name, figures, seconds });
    note(`scenario ${name} took ${seconds} s, builds not counted`);
    write(outFile, where, options, results);
  }
  process.stdout.write(markdownOf(where, results));
  if (options.isPublished) note(`published: ${publish(process.cwd(), where, results)}`);
  note(`written: ${outFile}, and the same as .md and .svg`);
}

function write(
  outFile: string,
  where: Circumstances,
  { shape }: BenchOptions,
  results: readonly ScenarioResult[],
): void {
  const path = outFile.replace(/\.json$/, "");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(outFile, `${JSON.stringify({ ...where, shape, results }, null, 2)}\n`);
  writeFileSync(`${path}.md`, markdownOf(where, results));
  writeFileSync(`${path}.svg`, chart(results, headline(where)));
}

function markdownOf(where: Circumstances, results: readonly ScenarioResult[]): string {
  const hasRows = results.some(({ figures }) => figures.some(({ row }) => row !== undefined));
  const summary = hasRows ? `${summaryTable(results)}\n` : "";
  return `${headline(where)}\n\n${summary}${markdownTable(results)}`;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.isHelpWanted) process.stdout.write(help());
  else await runAll(options);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof AppError ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof AppError && error.code === "usage" ? 2 : 1;
}
