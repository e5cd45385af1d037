/**
 * `npm run smoke:node [version…]`: the smoke tests on other versions of Node than this one. npm's packages `node-<platform>-<arch>` carry the
 * programs; they are installed once, below node_modules/.cache. Needs dist/. Ends with 1 where a version cannot be had or a test fails.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../src/cli/shared/package-root.ts";

/** One of every major version after the oldest that is supported, on which everything else runs. */
const VERSIONS = ["22.23.5", "24.22.3"];
const TESTS = ["test/smoke", "test/runtime/ort.test.ts"];

/** Runs a program to its end with our own output. @returns whether it succeeded */
function succeeds(program: string, args: readonly string[]): boolean {
  const { status, error } = spawnSync(program, args, { cwd: packageRoot(), stdio: ["ignore", 2, 2] });
  if (error !== undefined) console.error(`${program}: ${error.message}`);
  return status === 0;
}

/** The program of a version, installed if it is not there yet; null where npm has none for this machine. */
function installed(version: string): string | null {
  const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  const dir = join(packageRoot(), "node_modules", ".cache", "node-versions", version);
  const program = join(dir, "node_modules", name, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (existsSync(program)) return program;
  mkdirSync(dir, { recursive: true });
  const options = ["--prefix", dir, "--no-save", "--no-package-lock", "--ignore-scripts"];
  return succeeds("npm", ["install", "--silent", ...options, `${name}@${version}`]) ? program : null;
}

function passes(version: string): boolean {
  const program = installed(version);
  if (program === null) {
    console.error(`Node ${version}: npm has no program for this machine (${process.platform}, ${process.arch}).`);
    return false;
  }
  console.error(`\nNode ${version}`);
  const vitest = join(packageRoot(), "node_modules", "vitest", "vitest.mjs");
  return succeeds(program, [vitest, "run", ...TESTS]);
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : VERSIONS;
const failed = wanted.filter((version) => !passes(version));
if (failed.length > 0) {
  console.error(`Failed on Node ${failed.join(", ")}.`);
  process.exitCode = 1;
}
