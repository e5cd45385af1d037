/** The built program with a tiny base: servers as processes, and what they answer. Needs dist/. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { readManifest } from "../../src/base/manifest.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { hostTensor } from "../../src/tensor/host-tensor.ts";
import { casesIn, fixturesDir, readJson } from "./fixtures.ts";

export const MAIN = join(packageRoot(), "dist", "mosara", "main.js");

const models = fixturesDir("models");

/** A Llama: every family would do. */
export const checkpoint = join(
  models,
  casesIn(models, "config.json").find(
    (name) => readJson<{ model_type: string }>(models, name, "config.json").model_type === "llama",
  ) ?? "",
);

export let dir: string;

export let base: string;

let children: ChildProcess[] = [];

interface Running {
  readonly child: ChildProcess;
  readonly printed: { stdout: string; stderr: string };
  readonly exited: Promise<number | null>;
}

export function run(args: string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
  children.push(child);
  const printed = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => (printed.stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (printed.stderr += data.toString()));
  return { child, printed, exited: new Promise((resolve) => child.on("close", resolve)) };
}

export async function serve(args: string[] = [], env: Record<string, string> = {}) {
  const server = run(
    ["serve", "--model", base, "--port", "0", "--data", mkdtempSync(join(dir, "data-")), ...args],
    env,
  );
  const url = () => /^mosara listening on (http:\/\/\S+)\n/.exec(server.printed.stdout)?.[1] ?? "";
  await Promise.race([
    expect.poll(url, { timeout: 30_000 }).not.toBe(""),
    server.exited.then(() => Promise.reject(new Error(server.printed.stderr))),
  ]);
  return { ...server, url: url() };
}

export const complete = (url: string, body: object = {}) =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({
      model: "tiny",
      prompt: [5, 6, 7],
      max_tokens: 40,
      ignore_eos: true,
      temperature: 0,
      ...body,
    }),
  });

/** Log-probabilities of a prompt's tokens. */
export async function scoresOf(url: string, model: string): Promise<number[]> {
  const response = await complete(url, { model, max_tokens: 0, echo: true, logprobs: 0, prompt: [5, 6, 7, 8, 9, 10] });
  const { choices } = (await response.json()) as { choices: { logprobs: { token_logprobs: number[] } }[] };
  return choices[0]?.logprobs.token_logprobs.slice(1) ?? [];
}

/** A Mo-SARA adapter over all targets of a base, large enough to be seen. */
export async function adapterFor(baseDir: string, seed: number): Promise<Uint8Array> {
  const { baseId, targets } = await readManifest(baseDir);
  const numbers = (shape: readonly number[], offset: number) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
      Math.sin(seed * 17 + offset + i),
    );
    return hostTensor("float32", shape, data);
  };
  return encodeAdapter({
    method: "mo-sara",
    baseId,
    heads: 1,
    router: "none",
    card: {},
    targets: targets.map(({ name, k, dIn, dOut, basisId }, t) => ({
      name,
      k,
      dIn,
      dOut,
      basisId,
      tensors: { lambda: numbers([1, k], t), v: numbers([dOut], t + 0.5) },
    })),
  });
}

/** One base for all tests of a file. Processes are ended after each test. */
export function useTinyBase(): void {
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "mosara-serve-"));
    base = join(dir, "tiny");
    execFileSync(process.execPath, [MAIN, "build", checkpoint, "--out", base, "--weights", "float32"], {
      stdio: "pipe",
    });
  });
  afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
    children = [];
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
}
