/** `mosara train` on the demo model with small data, run to its end, killed, or interrupted. Needs dist/. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");

export const BASE = join(packageRoot(), "models", "demo");

export const dir = mkdtempSync(join(tmpdir(), "mosara-train-test-"));

export function write(name: string, lines: readonly string[]): string {
  const path = join(dir, name);
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

export const example = (i: number) =>
  JSON.stringify({ prompt: `Number ${i}`, completion: `${" and one".repeat(1 + (i % 5))} is ${i + 1}.` });

export const data = write(
  "data.jsonl",
  Array.from({ length: 24 }, (_, i) => example(i)),
);

export const held = write(
  "held.jsonl",
  Array.from({ length: 6 }, (_, i) => example(100 + i)),
);

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `mosara train`; `signal` is sent when the step log of `out` has `atLine` lines. */
export function run(
  args: readonly string[],
  signal?: { send: NodeJS.Signals; out: string; atLine: number },
): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, "train", "--model", BASE, "--threads", "1", ...args]);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += text));
  child.stderr.on("data", (text) => (stderr += text));
  const numLines = (log: string): number => (existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0);
  const watch =
    signal &&
    setInterval(() => {
      if (numLines(`${signal.out}.log.jsonl`) < signal.atLine) return;
      child.kill(signal.send);
      clearInterval(watch); // once: a process that is ending no longer hears a second one
    }, 5);
  return new Promise((resolve) =>
    child.on("close", (code) => {
      clearInterval(watch);
      resolve({ code, stdout, stderr });
    }),
  );
}

export const COMMON = [
  "--data",
  data,
  "--eval",
  held,
  "--batch-size",
  "4",
  "--seed",
  "3",
  "--steps",
  "24",
  "--eval-every",
  "5",
  "--save-every",
  "4",
];

/** Whole runs by their flags, made once. */
const whole = new Map<string, Promise<Buffer>>();

export function unbroken(flags: readonly string[]): Promise<Buffer> {
  const key = flags.join(" ");
  const out = join(dir, `whole-${whole.size}`);
  const made =
    whole.get(key) ??
    run([...COMMON, ...flags, "--out", out]).then(({ code, stderr }) => {
      expect(code, stderr).toBe(0);
      return contentOf(out, flags);
    });
  whole.set(key, made);
  return made;
}

export const contentOf = (out: string, flags: readonly string[]): Buffer =>
  readFileSync(flags.includes("full") ? join(out, "model.safetensors") : out);
