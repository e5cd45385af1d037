/** Python programs of `scripts/reference` for comparisons. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** null (with a notice on stderr) where this Python has no such modules. */
export function pythonWith(modules: readonly string[], variable: string, what: string): string | null {
  const python = process.env[variable] ?? "python3";
  const { status } = spawnSync(python, ["-c", `import ${modules.join(", ")}`], { stdio: "ignore" });
  if (status === 0) return python;
  process.stderr.write(
    `${what}: left out, ${python} with ${modules.join(", ")} is not there (${variable} names one)\n`,
  );
  return null;
}

/** Runs a program; `input` goes in as JSON, and the last line that it prints comes out as JSON. */
export function runReference<T>(python: string, program: string, input: unknown): T {
  const path = join("scripts", "reference", program);
  const { status, stdout, stderr } = spawnSync(python, [path], {
    input: JSON.stringify(input),
    encoding: "utf8",
    env: { ...process.env, PYTHONIOENCODING: "utf-8" },
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`${program} failed: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as T;
}

/** Logits that a program wrote as float32. */
export function readLogits(path: string): Float32Array {
  const bytes = readFileSync(path);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
