/**
 * llama.cpp for comparison: its server, built from source once into the work folder, and our checkpoints and LoRA
 * adapters as GGUF. If a part cannot be made (no Python, no compiler, no network), there is a notice and the part is
 * null. Never a part of the product.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Adapter } from "../../src/adapter/adapter.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import type { HostTensor } from "../../src/tensor/host-tensor.ts";

/** How a GGUF file holds its matrices. */
export type GgufKind = "f32" | "q8_0" | "q4_0";

/** Where the programs are. */
export interface LlamaTools {
  readonly server: string;
  /** A Python that has `gguf`. */
  readonly python: string;
}

// Read where they lie in the sources: the compiler copies no Python.
const source = (name: string): string => fileURLToPath(new URL(`../../../load-tests/peers/${name}`, import.meta.url));
const PYTHON = process.env.MOSARA_PYTHON ?? "python3";

/**
 * The tools in `folder`, built there where they are not yet; MOSARA_LLAMA_SERVER names a server that is there already.
 * @param mayBuild whether a build, which takes minutes, is welcome
 */
export async function llamaTools(
  folder: string,
  mayBuild: boolean,
  note: (text: string) => void,
): Promise<LlamaTools | null> {
  const given = process.env.MOSARA_LLAMA_SERVER;
  if (given !== undefined) {
    const hasGguf = spawnSync(PYTHON, ["-c", "import gguf"], { stdio: "ignore" }).status === 0;
    if (existsSync(given) && hasGguf) return { server: given, python: PYTHON };
    return without(note, hasGguf ? `MOSARA_LLAMA_SERVER (${given}) is not there` : `${PYTHON} has no module gguf`);
  }
  if (!mayBuild && !existsSync(join(folder, "venv")))
    return without(note, "its server has not been built and this run is to be short");
  for (const program of [PYTHON, "cmake", "c++"])
    if (spawnSync(program, ["--version"], { stdio: "ignore" }).status !== 0)
      return without(note, `there is no ${program} to build its server with`);
  if (!existsSync(join(folder, "venv"))) note("building llama.cpp's server, once: six minutes on two idle cores");
  const { status, stdout } = await run(PYTHON, [source("build_llama.py"), folder]);
  if (status !== 0) return without(note, "its server could not be built (see above)");
  return JSON.parse(stdout) as LlamaTools;
}

function without(note: (text: string) => void, why: string): null {
  note(`no comparison with llama.cpp: ${why}`);
  return null;
}

/** A program to its end; stderr goes to ours. */
async function run(program: string, args: readonly string[]): Promise<{ status: number | null; stdout: string }> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.on("data", (text: Buffer) => (stdout += text.toString()));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return { status, stdout };
}

/** A checkpoint as a GGUF file in `folder`, written at the first call. @returns its path */
export async function ggufModel(
  { python }: LlamaTools,
  checkpointDir: string,
  kind: GgufKind,
  folder: string,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const version = createHash("sha256")
    .update(readFileSync(source("write_gguf.py")))
    .digest("hex")
    .slice(0, 8);
  const path = join(folder, `${basename(checkpointDir)}-${kind}-${version}.gguf`);
  if (existsSync(path)) return path;
  await convert(python, ["model", checkpointDir, `${path}.part`, kind]);
  await rename(`${path}.part`, path);
  return path;
}

/** LoRA adapters of the checkpoint as GGUF files in `folder`. @returns their paths, in order */
export async function ggufLoras(
  { python }: LlamaTools,
  checkpointDir: string,
  adapters: readonly Adapter[],
  folder: string,
): Promise<readonly string[]> {
  const plain = adapters.map((_, index) => join(folder, `lora-${index}.safetensors`));
  for (const [index, path] of plain.entries()) await writePlain(adapters[index]?.targets ?? [], path);
  await convert(python, ["lora", checkpointDir, ...plain]);
  for (const path of plain) await rm(path);
  return plain.map((path) => path.replace(/\.safetensors$/, ".gguf"));
}

async function writePlain(targets: Adapter["targets"], path: string): Promise<void> {
  const tensors = new Map<string, HostTensor>();
  for (const target of targets)
    for (const [half, tensor] of Object.entries(target.tensors)) tensors.set(`${target.name}.${half}`, tensor);
  const specs = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  await writeSafetensors(path, specs, async (name) => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`internal: ${name} was not announced`);
    return tensor;
  });
}

async function convert(python: string, args: readonly string[]): Promise<void> {
  const { status } = await run(python, [source("write_gguf.py"), ...args]);
  if (status !== 0) throw new Error(`write_gguf.py ${args.join(" ")} failed (see above).`);
}
