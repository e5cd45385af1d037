/** The commands of mosara, run as a user runs them: each a process of its own, its result the JSON that it prints. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../../src/cli/package-root.ts";

/** @throws {Error} when the command fails; what it wrote to stderr says why */
export function mosara(args: readonly string[]): Record<string, unknown> {
  const main = join(packageRoot(), "dist", "src", "main.js");
  const { status, stdout } = spawnSync(process.execPath, [main, ...args, "--json"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`mosara ${args.join(" ")} ended with ${status} (see above).`);
  return JSON.parse(stdout) as Record<string, unknown>;
}
