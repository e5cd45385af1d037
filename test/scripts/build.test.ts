/** `npm run build:program` in a copy of the sources. Needs dist/ (npm test builds it) and the installed packages. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { linkOrCopy } from "../../src/base/link-or-copy.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const root = packageRoot();
const copy = mkdtempSync(join(tmpdir(), "mosara-build-"));
const build = () => execFileSync(process.execPath, ["scripts/build.mjs", "program"], { cwd: copy, encoding: "utf8" });

/** Path below the program's folder → its text. */
function programIn(folder: string): Map<string, string> {
  const program = join(folder, "dist", "mosara");
  const files = readdirSync(program, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((file) => join(file.parentPath, file.name)).filter((path) => !path.endsWith(".joined-from"));
  return new Map(paths.map((path) => [relative(program, path), readFileSync(path, "utf8")]));
}

/** The libraries, and what joins them. Not as symbolic links: their targets are other paths. */
async function installPackages(): Promise<void> {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
  };
  const joins = /^node_modules\/(rolldown|@rolldown\/|@oxc-project\/)/;
  const packages = Object.entries(lock.packages).filter(([path, { dev }]) => path !== "" && (!dev || joins.test(path)));
  for (const [path] of packages) {
    if (!existsSync(join(root, path))) continue; // for another system
    const files = readdirSync(join(root, path), { recursive: true, withFileTypes: true });
    for (const file of files.filter((entry) => entry.isFile())) {
      const from = join(file.parentPath, file.name);
      const to = join(copy, relative(root, from));
      mkdirSync(dirname(to), { recursive: true });
      await linkOrCopy(from, to);
    }
  }
}

beforeAll(async () => {
  mkdirSync(join(copy, "scripts"));
  for (const name of ["src", "scripts/build.mjs", "package.json", "package-lock.json", "tsconfig.json"])
    cpSync(join(root, name), join(copy, name), { recursive: true });
  await installPackages();
  build();
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

describe("the joined program", () => {
  it("has the same bytes in every folder, so that receipts name the same build", () => {
    expect(programIn(copy)).toEqual(programIn(root));
  });

  it("runs, and finds the package it belongs to", () => {
    const version = execFileSync(process.execPath, [join("dist", "mosara", "main.js"), "--version"], { cwd: copy });
    const wanted = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    expect(version.toString().trim()).toBe(wanted.version);
  });

  it("is left alone while nothing has changed, and loses the files of sources that are gone", () => {
    const main = join(copy, "dist", "mosara", "main.js");
    const { mtimeMs } = statSync(main);
    build();
    expect(statSync(main).mtimeMs).toBe(mtimeMs);
    rmSync(join(copy, "src", "web", "icon.svg"));
    build();
    expect([...programIn(copy).keys()]).not.toContain(join("web", "icon.svg"));
    expect(statSync(main).mtimeMs).toBe(mtimeMs);
  });
});
