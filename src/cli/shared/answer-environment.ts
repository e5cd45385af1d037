/** The facts of this program, machine and base that decide the bits of answers, for receipts. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { extname, join, relative, sep } from "node:path";
import type { Manifest } from "../../base/manifest.ts";
import { programPath } from "../../program-files.ts";
import { readCpuFacts } from "../../runtime/cpu-features.ts";
import { jsonHash } from "../../receipt/receipt.ts";
import type { Environment } from "../../receipt/receipt-issuer.ts";
import { readVersion } from "./package-root.ts";

export type AnswerEnvironment = Omit<Environment, "speculativeTokens" | "draftModel">;

export async function answerEnvironment(
  manifest: Manifest,
  { device, numThreads }: { readonly device: Environment["machine"]["device"]; readonly numThreads: number },
): Promise<AnswerEnvironment> {
  const [cpu, version, build] = await Promise.all([readCpuFacts(), readVersion(), buildId()]);
  return {
    program: { mosara: version, build, onnxruntime: onnxruntimeVersion(), node: process.versions.node },
    machine: { arch: cpu.arch, features: [...cpu.features], device, threads: numThreads },
    base: baseFacts(manifest),
  };
}

function baseFacts(manifest: Manifest): Environment["base"] {
  const { baseId, weights, blockSize, accuracyLevel, layouts, targets } = manifest;
  return {
    id: baseId,
    weights,
    form: jsonHash({ weights, blockSize, accuracyLevel, layouts }),
    bases: jsonHash(targets.map(({ name, k, basisId }) => ({ name, k, basisId }))),
  };
}

/** The beginning of the SHA-256 of the program's code. Two builds may have the same version. */
async function buildId(): Promise<string> {
  const root = programPath();
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && [".js", ".ts"].includes(extname(entry.name)))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, name: relative(root, path).split(sep).join("/") }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const texts = await Promise.all(files.map(({ path }) => readFile(path)));
  const hash = createHash("sha256");
  files.forEach(({ name }, i) => hash.update(`${name}\n`).update(texts[i] ?? ""));
  return hash.digest("hex").slice(0, 16);
}

/** Read from the package, because the library itself is loaded by engines only. */
function onnxruntimeVersion(): string {
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  return version;
}

/** What a receipt states of the draft model: its guesses decide how an answer is divided into runs. */
export function draftFacts(manifest: Manifest): NonNullable<Environment["draftModel"]> {
  const { id, weights, form } = baseFacts(manifest);
  return { form, id, weights };
}
