/**
 * Python for comparisons with its libraries: MOSARA_PYTHON, or python3. Tests that need it skip with a notice without
 * it.
 */
import { spawnSync } from "node:child_process";

const PYTHON = process.env.MOSARA_PYTHON ?? "python3";

/** Whether Python has these modules; says on stderr what is left out otherwise. */
export function hasPython(modules: readonly string[], what: string): boolean {
  const { status } = spawnSync(PYTHON, ["-c", `import ${modules.join(", ")}`], { stdio: "ignore" });
  if (status === 0) return true;
  process.stderr.write(
    `${what}: left out, ${PYTHON} with ${modules.join(", ")} is not there (MOSARA_PYTHON names one)\n`,
  );
  return false;
}

/** Runs a program; `input` goes in and what it prints comes out as JSON. */
export function runPython<T>(program: string, input: unknown): T {
  const { status, stdout, stderr } = spawnSync(PYTHON, ["-c", program], {
    input: JSON.stringify(input),
    encoding: "utf8",
    env: { ...process.env, PYTHONIOENCODING: "utf-8" },
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`${PYTHON} failed: ${stderr}`);
  return JSON.parse(stdout) as T;
}
