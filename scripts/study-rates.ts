/**
 * Does one learning rate fit every model? Runs a grid of rates on each model and task, without the trainer's bound and
 * with it. Each result is saved at once (docs/study/rates.jsonl) and only missing runs are run, so it can be stopped at
 * any time. The default rate comes first, so a grid that is cut short still shows its result. Classification and E2E
 * need MOSARA_DATA, the folder with E2E's files.
 * usage: npm run study:rates -- [--model demo=models/demo]… [--task facts]… [--rate 0.2]… [--trust 0.3]… [--steps 60]
 * [--batch-size 8]
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openBase } from "../src/base/base.ts";
import { mosaraJson } from "./demo/program.ts";
import { KnownRuns } from "./study/known-runs.ts";
import { renderRatePage } from "./study/rate-page.ts";
import { type RateKey, type RateResult, prepareRateTasks, runRate } from "./study/rate-runs.ts";

const { values: flags } = parseArgs({
  options: {
    /** name=path of a base or a checkpoint. */
    model: { type: "string", multiple: true, default: [`demo=${join("models", "demo")}`] },
    /** None: all. */
    task: { type: "string", multiple: true, default: [] },
    rate: { type: "string", multiple: true, default: ["0.2", "0.1", "0.4", "0.05"] },
    trust: { type: "string", multiple: true, default: ["0.3", "0"] },
    seed: { type: "string", multiple: true, default: ["1"] },
    steps: { type: "string", default: "60" },
    "batch-size": { type: "string", default: "8" },
    /** Held-out examples of the loss, and prompts of the accuracy (0: none). */
    "held-out": { type: "string", default: "48" },
    prompts: { type: "string", default: "100" },
    threads: { type: "string", default: "2" },
    work: { type: "string", default: join("work", "study-rates") },
    out: { type: "string", default: join("docs", "study-rates.md") },
    /** Runs nothing: the page of what is known. */
    page: { type: "boolean", default: false },
  },
});

const results = new KnownRuns<RateKey, RateResult>(join(flags.out.replace(/study-rates\.md$/, "study"), "rates.jsonl"));
const conclusionsFile = join(flags.out.replace(/study-rates\.md$/, "study"), "rates-conclusions.md");
const dataDir = process.env.MOSARA_DATA ?? null;
if (dataDir === null)
  process.stderr.write("study-rates: the facts alone; MOSARA_DATA names no folder with E2E's files\n");
if (!flags.page) await runGrid();
const conclusions = existsSync(conclusionsFile) ? readFileSync(conclusionsFile, "utf8") : "";
writeFileSync(flags.out, renderRatePage(results.all, conclusions));

async function runGrid(): Promise<void> {
  const sizes = { numHeldOut: Number(flags["held-out"]), numPrompts: Number(flags.prompts) };
  const all = prepareRateTasks(flags.work, dataDir, sizes);
  const tasks = all.filter(({ name }) => flags.task.length === 0 || flags.task.includes(name));
  for (const seed of flags.seed.map(Number))
    for (const trust of flags.trust.map(Number))
      for (const rate of flags.rate.map(Number))
        for (const named of flags.model) {
          const [model = "", path = ""] = named.split("=");
          const base = await baseOf(model, path);
          for (const task of tasks) {
            const size = { steps: Number(flags.steps), batchSize: Number(flags["batch-size"]) };
            const key: RateKey = { model, task: task.name, rate, trust, ...size, seed };
            if (results.has(key)) continue;
            const result = await runRate(base, task, key, flags.work, Number(flags.threads));
            results.add(result);
            const { baseLoss, loss } = result;
            process.stderr.write(
              `study-rates: ${model}, ${task.name}, rate ${rate}, trust ${trust}: ${baseLoss.toFixed(3)} → ${loss.toFixed(3)}\n`,
            );
          }
        }
}

/** A base directory; of a checkpoint one that is built once. */
async function baseOf(name: string, path: string): Promise<{ readonly dir: string; readonly id: string }> {
  const dir = existsSync(join(path, "mosara.json")) ? path : join(flags.work, "bases", name);
  if (!existsSync(dir)) await mosaraJson(["build", path, "--out", dir, "--weights", "float32"]);
  await using base = await openBase(dir);
  return { dir, id: base.manifest.baseId };
}
