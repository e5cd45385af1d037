/**
 * `npm run smoke:node [version…]`: the smoke tests on versions of Node other than the running one, all at once. Needs
 * dist/. Exits with 1 if a version cannot be installed or a test fails.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../src/cli/shared/package-root.ts";
import { installedNode, NODE_22 } from "./installed-node.ts";

/** One of every major version after the oldest that is supported, on which everything else runs. */
const VERSIONS = [NODE_22, "24.22.3"];
const TESTS = ["test/smoke", "test/runtime/ort.test.ts"];

interface Outcome {
  readonly isGood: boolean;
  readonly output: string;
}

/** Runs a program to its end. */
function run(program: string, args: readonly string[]): Promise<Outcome> {
  const child = spawn(program, args, { cwd: packageRoot(), stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
  return new Promise((resolve) => {
    child.once("error", ({ message }) => resolve({ isGood: false, output: `${program}: ${message}\n` }));
    child.once("close", (code) => resolve({ isGood: code === 0, output }));
  });
}

/** @param program null: there is none for this machine, or it cannot be installed */
async function passes(version: string, program: string | null): Promise<boolean> {
  if (program === null) {
    console.error(`Node ${version}: npm has no program for this machine (${process.platform}, ${process.arch}).`);
    return false;
  }
  const vitest = join(packageRoot(), "node_modules", "vitest", "vitest.mjs");
  const { isGood, output } = await run(program, [vitest, "run", ...TESTS]);
  console.error(`\nNode ${version}\n${output}`);
  return isGood;
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : VERSIONS;
// One after another: the tests of the first version would have to wait for the next installation.
const programs = wanted.map(installedNode);
const results = await Promise.all(wanted.map((version, i) => passes(version, programs[i] ?? null)));
const failed = wanted.filter((_, i) => !results[i]);
if (failed.length > 0) {
  console.error(`Failed on Node ${failed.join(", ")}.`);
  process.exitCode = 1;
}
