/**
 * `npm run build`: TypeScript to dist/, which then mirrors the sources exactly.
 * Only what changed is written (the compiler's own record lies in dist), so a server that runs from dist is not pulled
 * from under its feet and `npm start` costs a second. Plain JavaScript, since it runs before anything is compiled.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const DIST = join(ROOT, "dist");

/** Types are not checked here but by `npm run types`: a first `npm start` would wait for that for two seconds. */
function compile() {
  const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  const { status } = spawnSync(process.execPath, [compiler, "-p", join(ROOT, "tsconfig.build.json"), "--noCheck"], {
    stdio: ["ignore", 2, 2], // stdout belongs to whatever command follows the build
  });
  if (status !== 0) process.exit(status ?? 1);
}

function filesBelow(dir) {
  if (!existsSync(dir)) return [];
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** Files that are served or read as they are (the web page) lie beside the code that names them, in dist too. */
function copyAssets() {
  for (const source of filesBelow(join(ROOT, "src"))) {
    if (extname(source) === ".ts") continue;
    const target = join(DIST, relative(ROOT, source));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(source, target);
  }
}

/** A compiled file whose source is gone would still be found by `import`. */
function removeStale() {
  for (const file of filesBelow(DIST)) {
    const source = join(ROOT, relative(DIST, file));
    const isCurrent = existsSync(source) || existsSync(source.replace(/\.js(\.map)?$/, ".ts"));
    if (!isCurrent && !file.endsWith(".tsbuildinfo")) rmSync(file);
  }
}

compile();
copyAssets();
removeStale();
// The compiler writes no executable bit, and without it `npx mosara` is refused.
const main = join(DIST, "src", "main.js");
if (existsSync(main)) chmodSync(main, 0o755);
