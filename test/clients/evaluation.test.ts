/**
 * Benchmark and evaluation clients from PyPI against the demo: guidellm, and lm-eval's `local-completions` with a
 * tokenizer of its own and with the server's. MOSARA_CLIENTS_PYTHON names a Python that has them; without it they are
 * left out.
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { CLIENTS_PYTHON, hasModule } from "../helpers/outside/clients-python.ts";
import { startServer, tempDir, type TestServer } from "../helpers/server.ts";

/** Both import half of Python's machine learning before they begin. */
vi.setConfig({ testTimeout: 900_000, hookTimeout: 300_000 });
const PYTHON = CLIENTS_PYTHON;
const DEMO = join(packageRoot(), "models", "demo");

let server: TestServer;
beforeAll(async () => {
  if (PYTHON !== undefined) server = await startServer(["--model", DEMO, "--served-model-name", "demo"]);
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** A module's command, without a network. @throws with what it printed when it fails */
async function runModule(module: string, args: readonly string[], cwd: string): Promise<string> {
  const env = { ...process.env, HF_HUB_OFFLINE: "1", HF_DATASETS_OFFLINE: "1", HF_HOME: join(cwd, "hf") };
  const child = spawn(PYTHON ?? "", ["-m", module, ...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`${module} ended with ${String(code)}: ${output.slice(-3000)}`);
  return output;
}

it.skipIf(!hasModule("guidellm"))("guidellm measures every request of a benchmark", async () => {
  const dir = tempDir();
  const args = ["--backend", `kind=openai_http,target=${server.url},model=demo`, "--profile", "kind=synchronous"];
  const load = [
    "--constraint",
    "kind=max_requests,count=4",
    "--data",
    "kind=synthetic_text,prompt_tokens=16,output_tokens=8",
  ];
  const tokenizer = ["--tokenizer", `kind=huggingface_auto,model=${DEMO}`];
  await runModule("guidellm", ["run", ...args, ...load, ...tokenizer, "--disable-progress"], dir);
  const report = JSON.parse(readFileSync(join(dir, "benchmarks.json"), "utf8")) as {
    benchmarks: { metrics: { request_totals: { successful: number; errored: number } } }[];
  };
  expect(report.benchmarks[0]?.metrics.request_totals).toMatchObject({ successful: 4, errored: 0 });
});

it
  .skipIf(!hasModule("lm_eval"))
  .each([
    ...(hasModule("transformers") ? [["its own tokenizer", `tokenizer_backend=huggingface,tokenizer=${DEMO}`]] : []),
    ["the server's tokenizer", "tokenizer_backend=remote"],
  ])("lm-eval generates and scores with %s", async (_, tokenizer) => {
  const dir = tempDir();
  writeFileSync(join(dir, "data.jsonl"), '{"question":"Hello, where is my order?"}\n{"question":"I am Ann."}\n');
  const data = `dataset_path: json\ndataset_kwargs: {data_files: ${join(dir, "data.jsonl")}}\ntest_split: train\n`;
  const generate = `task: generate\n${data}output_type: generate_until\ndoc_to_text: "{{question}}"\ndoc_to_target: "x"\n`;
  const settings = 'generation_kwargs: {until: ["\\n"], max_gen_toks: 8}\nmetric_list: [{metric: exact_match}]\n';
  writeFileSync(join(dir, "generate.yaml"), `${generate}${settings}`);
  const choose = `task: choose\n${data}output_type: multiple_choice\ndoc_to_text: "{{question}}"\ndoc_to_target: 1\n`;
  writeFileSync(join(dir, "choose.yaml"), `${choose}doc_to_choice: [" Arr", " Hello"]\nmetric_list: [{metric: acc}]\n`);
  const model = `model=demo,base_url=${server.url}/v1/completions,${tokenizer}`;
  const args = [
    "--model",
    "local-completions",
    "--model_args",
    model,
    "--include_path",
    dir,
    "--tasks",
    "generate,choose",
  ];
  const output = await runModule("lm_eval", args, dir);
  expect(output).toMatch(/\|generate\s*\|/);
  expect(output).toMatch(/\|choose\s*\|/);
});
