/** The built program as the demo's scripts call it: every step is a command that anybody could type. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const DIST = join(packageRoot(), "dist");
/** The path of `mosara` for `runProgram`. */
export const MAIN = "mosara/main.js";

/**
 * Runs a script or `mosara` and shows what it says. @param script below dist
 * @throws where it fails; with what it printed before on the terminal
 */
export function runProgram(script: string, args: readonly string[]): void {
  process.stderr.write(`$ node dist/${script} ${args.join(" ")}\n`);
  const { status, signal } = spawnSync(process.execPath, [join(DIST, script), ...args], {
    stdio: ["ignore", 2, 2], // stdout belongs to the result
  });
  if (status !== 0) throw new Error(`dist/${script} ${args[0]} ended with ${signal ?? status}`);
}

/** Runs `mosara … --json`. @throws where it fails */
export async function mosaraJson<T>(args: readonly string[]): Promise<T> {
  process.stderr.write(`$ mosara ${args.join(" ")} --json\n`);
  const child = spawn(process.execPath, [join(DIST, MAIN), ...args, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [stdout, [status, signal]] = await Promise.all([text(child.stdout), once(child, "close")]);
  if (status !== 0) throw new Error(`mosara ${args[0]} ended with ${signal ?? status}`);
  return JSON.parse(stdout) as T;
}
