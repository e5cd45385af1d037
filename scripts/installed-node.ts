/**
 * Versions of Node other than the running one. npm's packages `node-<platform>-<arch>` contain the programs. They are
 * installed once, below node_modules/.cache.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../src/cli/shared/package-root.ts";

/** The newest of the oldest major version that the newest clients and npm's own tools still run on. */
export const NODE_22 = "22.23.5";

/**
 * The program of a version, installed if it is not there yet; null where npm has none for this machine, or cannot be
 * reached.
 */
export function installedNode(version: string): string | null {
  const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  const dir = join(packageRoot(), "node_modules", ".cache", "node-versions", version);
  const program = join(dir, "node_modules", name, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (existsSync(program)) return program;
  mkdirSync(dir, { recursive: true });
  const options = ["--prefix", dir, "--no-save", "--no-package-lock", "--ignore-scripts"];
  const { status, error } = spawnSync("npm", ["install", "--silent", ...options, `${name}@${version}`], {
    stdio: ["ignore", 2, 2],
  });
  if (error !== undefined) console.error(`npm: ${error.message}`);
  return status === 0 ? program : null;
}
