/**
 * `npm run test:reference`: random adapters of every method on every model fixture. The built program exports, merges
 * and serves them, and transformers and peft compare the results. Without a Python that has these libraries, there is a
 * notice and nothing is tested. MOSARA_PYTHON names the Python (default python3), and MOSARA_FIXTURES other fixtures.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { encodeAdapter } from "../src/adapter/adapter-file.ts";
import type { Adapter, LinearSignature, Method } from "../src/adapter/adapter.ts";
import { expectedTensors } from "../src/adapter/methods.ts";
import { type Base, openBase } from "../src/base/base.ts";
import { packageRoot } from "../src/cli/shared/package-root.ts";
import { hostTensor, numElements } from "../src/tensor/host-tensor.ts";
import { nextNormal, seedRandom } from "../src/tensor/random.ts";

const METHODS = ["mo-sara", "sara", "lora"] as const satisfies readonly Method[];
const RANK = 4;
const PROMPT = [5, 17, 33, 20, 60, 44, 91, 12, 7, 150, 33, 9];
const MAIN = join(packageRoot(), "dist", "mosara", "main.js");

function modelFolders(): string[] {
  const test = join(packageRoot(), "test");
  const given = process.env.MOSARA_FIXTURES;
  const roots = given ? [given] : [join(test, "golden"), join(test, "golden-more")];
  const folders = roots.map((root) => join(root, "models")).filter((folder) => existsSync(folder));
  const models = folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
  return models.filter((model) => existsSync(join(model, "expected.json")));
}

/** On every linear layer (mo-sara: the base's own basis of it), strong enough to change the answers. */
function randomAdapter(base: Base, method: Method): Adapter {
  const random = seedRandom(7);
  const strength = method === "mo-sara" ? 0.3 : 0.2;
  const targets = [...base.signature.linears.values()].map((linear: LinearSignature) => {
    const { name, dIn, dOut, basisId } = linear;
    const k = method === "mo-sara" ? (linear.k ?? 1) : RANK;
    const tensors = Object.entries(expectedTensors(method, "none", 1, { dIn, dOut, k })).map(([key, shape]) => {
      const values = Float32Array.from({ length: numElements(shape) }, () => strength * nextNormal(random));
      return [key, hostTensor("float32", shape, values)] as const;
    });
    const onlyOf =
      method === "mo-sara" && basisId !== undefined ? { basisId } : method === "lora" ? { scale: 1 / 3 } : {};
    return { name, dIn, dOut, k, ...onlyOf, tensors: Object.fromEntries(tensors) };
  });
  return { method, baseId: base.manifest.baseId, heads: 1, router: "none", targets, card: {} };
}

function mosara(...args: string[]): void {
  execFileSync(process.execPath, [MAIN, ...args], { stdio: ["ignore", "ignore", "pipe"] });
}

/** Log-probabilities of the prompt's tokens under each adapter, over HTTP. */
async function served(base: string, adapters: string, scratch: string): Promise<Map<string, number[]>> {
  const args = ["serve", "--model", base, "--served-model-name", "base", "--adapters", adapters, "--port", "0"];
  const server = spawn(process.execPath, [MAIN, ...args, "--data", join(scratch, "data")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => server.once("close", resolve));
  try {
    let url: string | undefined;
    for await (const line of createInterface(server.stdout)) {
      url = /listening on (\S+)/.exec(line)?.[1];
      if (url !== undefined) break;
    }
    if (url === undefined) throw new Error(`mosara serve ended before it listened: ${base}`);
    const scores = new Map<string, number[]>();
    for (const model of METHODS) {
      const body = JSON.stringify({ model, prompt: PROMPT, max_tokens: 0, echo: true, logprobs: 0 });
      const answer = await fetch(`${url}/v1/completions`, { method: "POST", body });
      const { choices } = (await answer.json()) as { choices: { logprobs: { token_logprobs: number[] } }[] };
      scores.set(model, choices[0]?.logprobs.token_logprobs.slice(1) ?? []);
    }
    return scores;
  } finally {
    server.kill("SIGTERM");
    await exited;
  }
}

async function jobsOf(checkpoint: string, scratch: string) {
  mkdirSync(join(scratch, "adapters"), { recursive: true });
  const dir = join(scratch, "base");
  mosara("build", checkpoint, "--out", dir, "--weights", "float32", "--targets", "all-linear");
  await using base = await openBase(dir);
  for (const method of METHODS) {
    const file = join(scratch, "adapters", `${method}.mosara`);
    writeFileSync(file, encodeAdapter(randomAdapter(base, method)));
    mosara("export", file, "--model", dir, "--out", join(scratch, `exported-${method}`));
    const out = join(scratch, `merged-${method}`);
    mosara("merge", "--model", dir, "--adapter", file, "--out", out, "--dtype", "float32");
  }
  const scores = await served(dir, join(scratch, "adapters"), scratch);
  return METHODS.map((method) => ({
    name: `${checkpoint.split(/[\\/]/).at(-1)} ${method}`,
    checkpoint,
    exported: join(scratch, `exported-${method}`),
    merged: join(scratch, `merged-${method}`),
    prompt: PROMPT,
    logprobs: scores.get(method),
  }));
}

const python = process.env.MOSARA_PYTHON ?? "python3";
const probe = spawnSync(python, ["-c", "import torch, transformers, peft, safetensors"], { encoding: "utf8" });
if (probe.status !== 0) {
  process.stdout.write(
    `test:reference skipped: ${python} has no torch, transformers and peft. MOSARA_PYTHON names another Python.\n`,
  );
} else {
  const scratch = mkdtempSync(join(tmpdir(), "mosara-reference-"));
  try {
    const jobs = [];
    for (const [i, checkpoint] of modelFolders().entries())
      jobs.push(...(await jobsOf(checkpoint, join(scratch, String(i)))));
    const path = join(scratch, "jobs.json");
    writeFileSync(path, JSON.stringify(jobs));
    const script = join(packageRoot(), "scripts", "reference", "compare.py");
    process.exitCode = spawnSync(python, [script, path], { stdio: "inherit" }).status ?? 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
