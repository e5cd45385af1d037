/** `mosara train` on the demo through the built program, and how it is killed in the middle. Needs dist/. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
export const DEMO_BASE = join(packageRoot(), "models", "demo");

/** @param killAt sends SIGKILL when the step log of `out` has so many lines */
export function trainDemo(args: readonly string[], killAt: { log: string; lines: number } | null = null) {
  const child = spawn(process.execPath, [MAIN, "train", "--model", DEMO_BASE, "--threads", "1", ...args]);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += text));
  child.stderr.on("data", (text) => (stderr += text));
  const isDue = () =>
    killAt !== null && existsSync(killAt.log) && readFileSync(killAt.log, "utf8").split("\n").length > killAt.lines;
  const watch = setInterval(() => isDue() && child.kill("SIGKILL"), 5);
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on("close", (code) => {
      clearInterval(watch);
      resolve({ code, stdout, stderr });
    }),
  );
}
