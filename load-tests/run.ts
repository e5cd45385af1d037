/** `npm run bench`: runs scenarios one after the other and prints what they found as a markdown table. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { AppError } from "../src/errors.ts";
import { type BenchOptions, flagsHelp, parseOptions } from "./options.ts";
import { type ScenarioResult, markdownTable } from "./report.ts";
import type { Scenario } from "./scenario.ts";
import { buildScenario } from "./scenarios/build.ts";
import { engineScenario } from "./scenarios/engine.ts";
import { httpScenario } from "./scenarios/http.ts";
import { trainScenario } from "./scenarios/train.ts";
import { WorkFolder } from "./work-folder.ts";

const SCENARIOS: readonly Scenario[] = [buildScenario, engineScenario, httpScenario, trainScenario];

function help(): string {
  const scenarios = SCENARIOS.map(({ name, summary }) => `  ${name.padEnd(22)}${summary}`);
  return [
    "Usage: npm run bench -- [scenario…] [flags]",
    "",
    "Scenarios (all of them where none is named):",
    ...scenarios,
    "",
    "Flags:",
    flagsHelp(),
    "",
  ].join("\n");
}

function chosen(names: readonly string[]): readonly Scenario[] {
  if (names.length === 0) return SCENARIOS;
  return names.map((name) => {
    const found = SCENARIOS.find((scenario) => scenario.name === name);
    if (found) return found;
    const known = SCENARIOS.map((scenario) => scenario.name).join(", ");
    throw new AppError("usage", `There is no scenario "${name}"; there are ${known}.`);
  });
}

/** Where it was measured. */
function circumstances() {
  const commit = spawnSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).stdout?.trim() ?? "";
  const [cpu] = cpus();
  return {
    cpu: cpu?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    commit,
    command: ["npm run bench --", ...process.argv.slice(2)].join(" "),
    date: new Date().toISOString().slice(0, 10),
  };
}

async function runAll(options: BenchOptions): Promise<void> {
  const scenarios = chosen(options.scenarios);
  const note = (text: string): void => void process.stderr.write(`bench: ${text}\n`);
  const folder = new WorkFolder(options, note);
  const where = circumstances();
  const results: ScenarioResult[] = [];
  for (const { name, run } of scenarios) {
    note(`scenario ${name}`);
    results.push({ scenario: name, figures: await run({ options, folder, note }) });
    // After each, so that a run that is broken off leaves what it has.
    if (options.outFile !== null)
      writeFileSync(options.outFile, `${JSON.stringify({ ...where, shape: options.shape, results }, null, 2)}\n`);
  }
  const memory = (where.memoryBytes / 2 ** 30).toFixed(0);
  process.stdout.write(
    `${where.cores} cores (${where.cpu}), ${memory} GiB, Node ${where.node}, ${where.platform}; commit ${where.commit}; \`${where.command}\`\n\n`,
  );
  process.stdout.write(markdownTable(results));
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.isHelpWanted) process.stdout.write(help());
  else await runAll(options);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof AppError ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof AppError && error.code === "usage" ? 2 : 1;
}
