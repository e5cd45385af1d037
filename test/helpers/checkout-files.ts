/** The files of this checkout. A source archive without git has no such list. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

/** Paths from the root of all files that git tracks, or would track if they were added. */
export function checkoutFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: packageRoot(),
    encoding: "utf8",
  });
  return listed.split("\n").filter((file) => file !== "" && existsSync(join(packageRoot(), file)));
}
