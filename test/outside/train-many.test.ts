/**
 * Many tenants' adapters trained on a Ray cluster, by the script that is shipped for it. MOSARA_RAY_PYTHON names a
 * Python with Ray. Needs dist/.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { complete, startServer, tempDir, until } from "../helpers/server.ts";

vi.setConfig({ testTimeout: 600_000 });

const python = process.env.MOSARA_RAY_PYTHON;
if (python === undefined)
  process.stderr.write("adapters trained on Ray: left out, MOSARA_RAY_PYTHON names no Python with ray\n");

/** Short, as the paths of the cluster's sockets must be. */
const clusterFiles = mkdtempSync(join(tmpdir(), "ray-"));
afterAll(() => rmSync(clusterFiles, { recursive: true, force: true }));

const root = packageRoot();
const demo = join(root, "models", "demo");
const folder = tempDir();
const [dataFolder, out, work] = ["tenants", "adapters", "work"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];

/** One line that the script prints: what became of a tenant, or how many became what. */
interface Line {
  readonly name?: string;
  readonly status?: string;
  readonly reason?: string;
}

interface Run {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  lines(): Line[];
  readonly printed: { stdout: string; stderr: string };
}

function trainMany(...flags: readonly string[]): Run {
  const script = join(root, "deploy", "ray", "train_many.py");
  const places = ["--data", dataFolder, "--out", out, "--work", work, "--model", demo];
  const command = ["--command", process.execPath, join(root, "dist", "mosara", "main.js")];
  const training = ["--", "--steps", "4", "--batch-size", "2"];
  const child = spawn(python ?? "", [script, ...places, ...flags, ...command, ...training], {
    env: { ...process.env, HOME: clusterFiles, RAY_TMPDIR: clusterFiles, RAY_USAGE_STATS_ENABLED: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => (printed.stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (printed.stderr += data.toString()));
  return {
    child,
    exited: new Promise((resolve) => child.on("close", resolve)),
    lines: () => {
      const whole = printed.stdout.split("\n").slice(0, -1);
      return whole.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Line);
    },
    printed,
  };
}

function writeTenant(name: string): void {
  const examples = Array.from({ length: 12 }, (_, i) => ({ prompt: `Who is ${i}?`, completion: `${name} ${i}.` }));
  writeFileSync(join(dataFolder, `${name}.jsonl`), examples.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

it.skipIf(python === undefined)(
  "a killed run of many tenants goes on, names the bad one, and its adapters answer",
  async () => {
    mkdirSync(dataFolder);
    const good = ["acme", "beta", "corp"];
    for (const name of good) writeTenant(name);
    writeFileSync(join(dataFolder, "bad.jsonl"), '{"prompt":"no completion"}\n');

    const first = trainMany();
    await until(
      "the first adapter",
      () => (first.child.exitCode === null ? first.lines() : [{ status: "trained", reason: first.printed.stderr }]),
      (lines) => lines.some(({ status }) => status === "trained"),
    );
    expect(first.child.exitCode, first.printed.stderr).toBeNull();
    first.child.kill("SIGKILL");
    await first.exited;

    await using server = await startServer(["--model", demo]);
    const second = trainMany("--upload", server.url);
    expect(await second.exited, second.printed.stderr).toBe(1);
    const results = new Map(second.lines().map((line) => [line.name, line]));
    for (const name of good) expect(["trained", "kept"], name).toContain(results.get(name)?.status);
    for (const { name, status } of first.lines())
      if (status === "trained") expect(results.get(name)?.status, name).toBe("kept");
    expect(results.get("bad")?.status).toBe("failed");
    expect(results.get("bad")?.reason).toMatch(/bad\.jsonl.*line 1/s);
    expect(readdirSync(out).toSorted()).toEqual(good.map((name) => `${name}.mosara`));

    for (const name of good) {
      const { status, json } = await complete(server.url, { model: name, prompt: "Who is 3?", max_tokens: 2 });
      expect(status, JSON.stringify(json)).toBe(200);
    }
  },
);
