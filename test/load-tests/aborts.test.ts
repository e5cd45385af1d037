/**
 * A few of the cycles of `npm run soak:aborts`, which compares what the server and its engine hold before and after.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

it("clients that connect and go away leave no row, listener or connection behind", async () => {
  const script = join(packageRoot(), "dist", "load-tests", "aborts.js");
  const { stdout } = await promisify(execFile)(process.execPath, [script, "--cycles", "84"]);
  expect(stdout).toBe("Nothing is left behind after 84 cycles.\n");
}, 240_000);
