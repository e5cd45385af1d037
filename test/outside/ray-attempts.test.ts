/**
 * The ingress of deploy/ray: how it sends requests again. The tests are Python's, because the code is. Ray is not
 * needed.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const script = fileURLToPath(new URL("ray_attempts.py", import.meta.url));
/** Ray 2.60 needs this version too. */
const hasPython = spawnSync("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]).status === 0;
if (!hasPython) process.stderr.write("the ingress of Ray: left out, no python3 of 3.10 or later is installed\n");

it.skipIf(!hasPython)("requests whose answer has not begun are sent to other replicas of Ray", () => {
  const { status, stderr } = spawnSync("python3", ["-B", script], { encoding: "utf8" });
  expect(stderr).toContain("OK");
  expect(status, stderr).toBe(0);
});
