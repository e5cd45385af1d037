/**
 * `npm run smoke:node [version…]`: the smoke tests on versions of Node other than the running one. Needs dist/. Exits
 * with 1 if a version cannot be installed or a test fails.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../src/cli/shared/package-root.ts";
import { installedNode, NODE_22 } from "./installed-node.ts";

/** One of every major version after the oldest that is supported, on which everything else runs. */
const VERSIONS = [NODE_22, "24.22.3"];
const TESTS = ["test/smoke", "test/runtime/ort.test.ts"];

/** Runs a program to its end with our own output. @returns whether it succeeded */
function succeeds(program: string, args: readonly string[]): boolean {
  const { status, error } = spawnSync(program, args, { cwd: packageRoot(), stdio: ["ignore", 2, 2] });
  if (error !== undefined) console.error(`${program}: ${error.message}`);
  return status === 0;
}

function passes(version: string): boolean {
  const program = installedNode(version);
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
