/**
 * What is left of a LoRA after `mosara compress`? Trains LoRAs, compresses them, and measures both. Each result is
 * saved at once (docs/study/compress.jsonl) and only missing runs are run, so it can be stopped at any time. E2E and
 * the classification need MOSARA_DATA, the folder with E2E's files.
 * usage: npm run study:compress -- [--model demo=models/demo | --model SmolLM2-135M-Instruct.Q4_1.gguf]
 * [--task pirate]… [--lora-steps 90] [--steps 150] [--batch-size 8] [--threads 2] [--page]
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { modelOf } from "./agreement/real-files.ts";
import { mosaraJson } from "./demo/program.ts";
import { renderCompressPage } from "./study/compress/page.ts";
import { type CompressKey, type CompressStudyResult, runCompress } from "./study/compress/runs.ts";
import { prepareCompressTasks } from "./study/compress/tasks.ts";
import { KnownRuns } from "./study/known-runs.ts";

const { values: flags } = parseArgs({
  options: {
    /** A file of real-files.ts, or name=path of a base, a checkpoint or a GGUF file. */
    model: { type: "string", default: `demo=${join("models", "demo")}` },
    /** None: all. */
    task: { type: "string", multiple: true, default: [] },
    "lora-steps": { type: "string", default: "90" },
    steps: { type: "string", default: "150" },
    "batch-size": { type: "string", default: "8" },
    /** Held-out examples of the divergence and the losses, and prompts of the metric. */
    "held-out": { type: "string", default: "48" },
    prompts: { type: "string", default: "60" },
    threads: { type: "string", default: "2" },
    work: { type: "string", default: join("work", "study-compress") },
    out: { type: "string", default: join("docs", "study-compress.md") },
    /** Runs nothing: the page of what is known. */
    page: { type: "boolean", default: false },
  },
});
const SEED = 1;

const folder = flags.out.replace(/study-compress\.md$/, "study");
const results = new KnownRuns<CompressKey, CompressStudyResult>(join(folder, "compress.jsonl"));
if (!flags.page) await runAll();
const conclusionsFile = join(folder, "compress-conclusions.md");
const conclusions = existsSync(conclusionsFile) ? readFileSync(conclusionsFile, "utf8") : "";
writeFileSync(flags.out, renderCompressPage(results.all, conclusions));

async function runAll(): Promise<void> {
  const { name, path } = modelOf(flags.model);
  const sizes = { loraSteps: Number(flags["lora-steps"]), steps: Number(flags.steps) };
  const counts = { numLoss: Number(flags["held-out"]), numPrompts: Number(flags.prompts) };
  const tasks = prepareCompressTasks(flags.work, process.env.MOSARA_DATA ?? null, counts);
  for (const task of tasks) {
    if (flags.task.length > 0 && !flags.task.includes(task.name)) continue;
    const batchSize = Number(flags["batch-size"]);
    const key: CompressKey = { model: name, task: task.name, ...sizes, batchSize, seed: SEED };
    if (results.has(key)) continue;
    const base = await baseOf(name, path);
    const result = await runCompress(base, task, key, flags.work, Number(flags.threads));
    results.add(result);
    const { klBase, klCompressed, original, compressed } = result;
    const kl = `KL ${klBase.toFixed(4)} → ${klCompressed.toFixed(4)}`;
    const scores = `${result.metric} ${original.value.toFixed(3)} → ${compressed.value.toFixed(3)}`;
    process.stderr.write(`study-compress: ${name}, ${task.name}: ${kl}, ${scores}\n`);
  }
}

/** A base directory; of a checkpoint one that is built once. */
async function baseOf(name: string, path: string): Promise<string> {
  if (existsSync(join(path, "mosara.json"))) return path;
  const dir = join(flags.work, "bases", name);
  if (!existsSync(dir)) await mosaraJson(["build", path, "--out", dir, "--weights", "auto"]);
  return dir;
}
