/**
 * Compares the methods. Trains every setting on every task from one base, measures it through the serving engine, and
 * writes docs/study.md with its figures. Each result is saved at once (docs/study/results.jsonl) and only missing runs
 * are run, so it can be stopped at any time. E2E is among the tasks if MOSARA_DATA names the folder with its files.
 * usage: npm run study -- [--model models/demo] [--out docs/study.md] [--work work/study] [--steps 200] [--jobs 2]
 * [--smoke] [--page]
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { openBase } from "../src/base/base.ts";
import { thresholdOfSize } from "./study/equal-size.ts";
import { writeFigures } from "./study/figures.ts";
import { KnownRuns } from "./study/known-runs.ts";
import { renderPage } from "./study/page.ts";
import { realTables } from "./study/real/page.ts";
import type { RealKey, RealResult } from "./study/real/runs.ts";
import { Results } from "./study/results.ts";
import { type Place, adapterPath, builtBase, runSetting, settingBase, targetList } from "./study/runs.ts";
import { SETTINGS, SMOKE_SETTINGS, type Setting, hasSpeed, layerSetting } from "./study/settings.ts";
import { servingSpeed } from "./study/speed.ts";
import { STUDY_SIZES, type Task, prepareTasks } from "./study/tasks.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: join("models", "demo") },
    out: { type: "string", default: join("docs", "study.md") },
    work: { type: "string", default: join("work", "study") },
    steps: { type: "string", default: "200" },
    /** Runs at a time, the cores shared among them: small models make little use of more than one. */
    jobs: { type: "string", default: "2" },
    /** A few settings, two steps, a few examples, one speed: whether the chain holds. */
    smoke: { type: "boolean", default: false },
    /** Runs nothing: the page of what is known. */
    page: { type: "boolean", default: false },
  },
});
const SMOKE_STEPS = 2;
const SMOKE_SIZES = { demoTasks: ["pirate"], numTraining: 32, numLoss: 4, numPrompts: 2 };
/** Threshold of the picture of ranks. */
const SHOWN_THRESHOLD = 0.5;

const steps = flags.smoke ? SMOKE_STEPS : Number(flags.steps);
const settings = flags.smoke ? SMOKE_SETTINGS : SETTINGS;
const numJobs = Number(flags.jobs);
const numThreads = Math.max(1, Math.floor(availableParallelism() / numJobs));
const place: Place = {
  checkpoint: checkpointOf(flags.model, flags.work),
  work: flags.work,
  numThreads,
  weights: "float32",
  batchSize: 8,
};
const tasks = prepareTasks(flags.work, flags.smoke ? SMOKE_SIZES : STUDY_SIZES);
const figureDir = flags.out.replace(/\.md$/, "");
const results = new Results(join(figureDir, "results.jsonl"));
await using base = await openBase(await builtBase(place, "all-linear", SHOWN_THRESHOLD));
const { baseId, parameters, config } = base.manifest;

if (!flags.page) {
  const layers = flags.smoke ? [] : Array.from({ length: config.numLayers }, (_, layer) => layerSetting(layer));
  const mostSeeds = Math.max(...settings.map(({ numSeeds }) => numSeeds));
  for (let seed = 1; seed <= mostSeeds; seed++) {
    await runAll(
      settings.filter(({ numSeeds }) => seed <= numSeeds),
      tasks,
      seed,
    );
    if (seed > 1) continue;
    await runAll(layers, tasks.slice(0, 2), seed);
    const timed = settings.filter(hasSpeed);
    for (const setting of flags.smoke ? timed.slice(0, 1) : timed) await measureSpeed(setting);
  }
}
writePage();

/** Every setting on every task, task by task, several at a time. */
async function runAll(some: readonly Setting[], on: readonly Task[], seed: number): Promise<void> {
  const left = on.flatMap((task) => some.map((setting) => ({ setting, task })));
  const runNext = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await runOnce(next.setting, next.task, seed);
  };
  await Promise.all(Array.from({ length: numJobs }, runNext));
}

/** Runs what is not known yet. */
async function runOnce(setting: Setting, task: Task, seed: number): Promise<void> {
  const key = { baseId, steps, task: task.name, setting: setting.name, seed };
  if (results.find(key)) return;
  const result = await runSetting(place, setting, await thresholdOf(setting), task, key);
  results.add(result);
  const { loss, baseLoss, score } = result;
  process.stderr.write(
    `study: ${task.name}, ${setting.name}, seed ${seed}: loss ${baseLoss.toFixed(3)} → ${loss.toFixed(3)}, ${task.metric} ${score.toFixed(3)}\n`,
  );
}

async function thresholdOf({ threshold, equalTo, targets }: Setting): Promise<number | null> {
  if (equalTo === null) return threshold;
  return await thresholdOfSize(await builtBase(place, targetList(targets), 1), equalTo);
}

async function measureSpeed(setting: Setting): Promise<void> {
  const adapter = adapterPath(place, setting, tasks[0]?.name ?? "", 1);
  if (results.speeds(baseId, setting.name).length > 0 || !existsSync(adapter)) return;
  const bare = await builtBase(place, "none");
  const samples = await servingSpeed(bare, await settingBase(place, setting), adapter, flags.work);
  results.add({ baseId, speedOf: setting.name, samples });
}

function writePage(): void {
  const runs = results.runs(baseId, steps);
  const absent = new Set(runs.map(({ task }) => task).filter((name) => tasks.every((task) => task.name !== name)));
  if (absent.size > 0 && !flags.smoke)
    throw new Error(
      `The page would lose the known results on ${[...absent].join(", ")}. Set MOSARA_DATA to the folder with its files.`,
    );
  const conclusionsFile = join(figureDir, "conclusions.md");
  mkdirSync(figureDir, { recursive: true });
  const figures = writeFigures(figureDir, {
    runs,
    tasks: tasks.map(({ name }) => name),
    numLayers: config.numLayers,
    ranks: { threshold: SHOWN_THRESHOLD, targets: base.manifest.targets },
  });
  const page = renderPage({
    base: { name: basename(flags.model), id: baseId, parameters },
    steps,
    tasks,
    results,
    runs,
    figures,
    realModels: realTables(new KnownRuns<RealKey, RealResult>(join(figureDir, "real.jsonl")).all),
    conclusions: existsSync(conclusionsFile) ? readFileSync(conclusionsFile, "utf8") : "",
  });
  writeFileSync(flags.out, page);
}

/** A base directory keeps the weights it was built from: as a checkpoint it can be built again with other targets. */
function checkpointOf(model: string, work: string): string {
  if (!existsSync(join(model, "mosara.json"))) return model;
  const dir = join(work, "checkpoint");
  if (existsSync(dir)) return dir;
  mkdirSync(dirname(dir), { recursive: true });
  const left = /^(mosara\.json|serve\..*|bases\.safetensors|.*\.md)$/;
  cpSync(model, dir, { recursive: true, filter: (path) => !left.test(basename(path)) });
  cpSync(join(dir, "weights.safetensors"), join(dir, "model.safetensors"));
  return dir;
}
