/**
 * Makes dist/ from the sources. Plain JavaScript, since it runs before anything is compiled.
 * - dist/mosara is the program, joined into few files: a start loads it in a third of the time of its 900 modules.
 * - dist/src, dist/scripts, dist/load-tests and dist/fuzz are the sources, each file compiled, for scripts and tests.
 * Both write only what has changed, so a server that runs from dist is not pulled from under its feet.
 * usage: node scripts/build.mjs [program]   program: only dist/mosara
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const SOURCES = join(ROOT, "src");
const DIST = join(ROOT, "dist");
const PROGRAM = join(DIST, "mosara");
/** What the program was joined from. */
const STAMP = join(PROGRAM, ".joined-from");

function filesBelow(dir) {
  if (!existsSync(dir)) return [];
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** Files that are served as they are (the web page), and that therefore are in every form of the program. */
const assets = () => filesBelow(SOURCES).filter((file) => extname(file) !== ".ts");

function copyAssets(target) {
  for (const source of assets()) {
    const copy = join(target, relative(SOURCES, source));
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(source, copy);
  }
}

/** The program's first file and those of its processes and threads, by their path below src without its ending. */
function entries() {
  const files = filesBelow(SOURCES).filter((file) => /[/\\](main|[a-z-]+-(process|thread|worker))\.ts$/.test(file));
  return Object.fromEntries(files.sort().map((file) => [relative(SOURCES, file).replace(/\.ts$/, ""), file]));
}

/** Changes with every change of the sources, of the libraries and of this file. */
function stampNow() {
  const files = [...filesBelow(SOURCES), join(ROOT, "package-lock.json"), fileURLToPath(import.meta.url)];
  const lines = files.map((file) => {
    const { mtimeMs, size } = statSync(file);
    return `${relative(ROOT, file)} ${mtimeMs} ${size}\n`;
  });
  return lines.sort().join("");
}

/** Libraries with files of their own beside their code stay where they are. */
const APART = [/^onnxruntime-node/, /^lmdb/, /^msgpackr/];

async function joinProgram() {
  const stamp = stampNow();
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === stamp) return;
  const { rolldown } = await import("rolldown"); // loading it costs more than finding out that it is not needed
  const bundle = await rolldown({
    cwd: ROOT,
    input: entries(),
    platform: "node",
    external: APART,
    transform: { target: "node20" },
  });
  const { output } = await bundle.generate({
    entryFileNames: "[name].js",
    chunkFileNames: "[name]-[hash].js",
    comments: false, // they are a tenth of what a start reads
    // Its code finds the other files from where it lies itself.
    codeSplitting: { groups: [{ name: "program-files", test: /src[/\\]program-files\.ts$/ }] },
  });
  const written = new Set([STAMP, ...assets().map((file) => join(PROGRAM, relative(SOURCES, file)))]);
  for (const { fileName, code } of output) {
    const file = join(PROGRAM, fileName);
    written.add(file);
    if (existsSync(file) && readFileSync(file, "utf8") === code) continue;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, code);
    renameSync(`${file}.new`, file); // a process that starts now reads a whole file
  }
  copyAssets(PROGRAM);
  for (const file of filesBelow(PROGRAM)) if (!written.has(file)) rmSync(file);
  chmodSync(join(PROGRAM, "main.js"), 0o755); // without it, `npx mosara` is refused
  writeFileSync(STAMP, stamp);
}

/** Types are not checked here but by `npm run types`. */
function compile() {
  const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  const { status } = spawnSync(process.execPath, [compiler, "-p", join(ROOT, "tsconfig.build.json"), "--noCheck"], {
    stdio: ["ignore", 2, 2], // stdout belongs to whatever command follows the build
  });
  if (status !== 0) process.exit(status ?? 1);
  copyAssets(join(DIST, "src"));
  // The program of earlier versions. npx keeps a link to it for each folder that it has run a command in.
  chmodSync(join(DIST, "src", "main.js"), 0o755);
}

/** A compiled file whose source is gone would still be found by `import`. */
function removeStale() {
  for (const file of filesBelow(DIST)) {
    if (file.startsWith(PROGRAM) || file.endsWith(".tsbuildinfo")) continue;
    const source = join(ROOT, relative(DIST, file));
    if (!existsSync(source) && !existsSync(source.replace(/\.js(\.map)?$/, ".ts"))) rmSync(file);
  }
}

await joinProgram();
if (process.argv[2] !== "program") {
  compile();
  removeStale();
}
