/** An opened base directory: manifest, tensors in their files, bases, and the properties that an adapter must match. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { BaseSignature, LinearSignature } from "../adapter/adapter.ts";
import { AppError } from "../errors.ts";
import { type SafetensorsFile, openSafetensors } from "../formats/safetensors.ts";
import { type AdapterLayout, adapterLayout } from "../model/adapter-layout.ts";
import { allGroups, allLinears } from "../model/linears.ts";
import type { ServedBasis, StoredBasis } from "../model/serve/serve-bases.ts";
import type { StoredTensor, TensorSource } from "../model/weights.ts";
import { type HostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import { type Manifest, SERVED, readManifest } from "./manifest.ts";
import { type Originals, originalsOf } from "./originals.ts";

/** Tensors of the checkpoint: all of them, or only those that the graph refers to. */
export const WEIGHTS_FILE = "weights.safetensors";
/** U, σ, V and all singular values of every target. */
export const BASES_FILE = "bases.safetensors";
/** Quantised tensors in the form of the checkpoint's files. Blocks of a GGUF file are uint8 [rows, bytes of a row]. */
export const ORIGINALS_FILE = "originals.safetensors";
export const SERVE_GRAPH_FILE = "serve.onnx";
/** Weights made for the graph: quantised weights, rotary tables, U/σ. */
export const SERVE_WEIGHTS_FILE = "serve.weights";

/** A safetensors file of the base, in the form that the graph builder reads. */
export function tensorSource(file: SafetensorsFile, location: string): TensorSource {
  return {
    has: (name) => file.tensors.has(name),
    stored: (name) => storedTensor(file, location, name),
    read: (name) => file.read(name),
  };
}

function storedTensor(file: SafetensorsFile, location: string, name: string): StoredTensor {
  const entry = file.tensors.get(name);
  if (!entry) throw new AppError("base_invalid", `${file.path} lacks the tensor ${name}. Build the base again.`);
  return { dtype: entry.dtype, shape: entry.shape, location, offset: entry.byteOffset, length: entry.byteLength };
}

/** A target's basis in memory: U float32 [dOut,k], σ [k], V [dIn,k], and all singular values [min(dOut,dIn)]. */
export interface Basis {
  readonly left: HostTensor;
  readonly sigma: HostTensor;
  readonly right: HostTensor;
  readonly singularValues: HostTensor;
}

export interface Base extends AsyncDisposable {
  readonly dir: string;
  readonly manifest: Manifest;
  readonly source: TensorSource;
  /** The place of each target's basis, in the manifest's order. */
  readonly bases: readonly StoredBasis[];
  readBasis(target: string): Promise<Basis>;
  /** The properties of the base that an adapter must match. */
  readonly signature: BaseSignature;
  /** The places of an adapter's numbers in the serving graph. */
  readonly layout: AdapterLayout;
}

/** Opens a base directory. @param oldest as in `readManifest`. @throws {AppError} base_invalid */
export async function openBase(dir: string, oldest?: number): Promise<Base> {
  const manifest = await readManifest(dir, oldest);
  const files: SafetensorsFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file[Symbol.asyncDispose]();
  };
  const part = async (name: string, isThere: boolean): Promise<SafetensorsFile | null> => {
    if (!isThere) return null;
    const file = await openPart(dir, name);
    files.push(file);
    return file;
  };
  try {
    const hasCoded = Object.values(manifest.originals).some((home) => home !== SERVED);
    const parts = {
      weights: (await part(WEIGHTS_FILE, true))!, // it is there
      coded: await part(ORIGINALS_FILE, hasCoded),
      bases: await part(BASES_FILE, manifest.targets.length > 0),
    };
    return openedBase(dir, manifest, parts, close);
  } catch (error) {
    await close();
    throw error;
  }
}

interface BaseFiles {
  readonly weights: SafetensorsFile;
  /** null where no tensor is in a form of its own. */
  readonly coded: SafetensorsFile | null;
  /** null where there are no targets. */
  readonly bases: SafetensorsFile | null;
}

function openedBase(
  dir: string,
  manifest: Manifest,
  { weights, coded, bases }: BaseFiles,
  close: () => Promise<void>,
): Base {
  const originals = originalsOf(dir, join(dir, SERVE_GRAPH_FILE), manifest, coded);
  return {
    dir,
    manifest,
    source: withOriginals(tensorSource(weights, WEIGHTS_FILE), originals, manifest),
    bases: bases ? storedBases(bases, manifest.targets) : [],
    readBasis: async (target) => {
      if (!bases) throw new Error(`internal: ${dir} has no bases`);
      const [left, sigma, right, singularValues] = await Promise.all(
        ["U", "sigma", "V", "singular_values"].map((part) => bases.read(`${target}.${part}`)),
      );
      return { left: left!, sigma: sigma!, right: right!, singularValues: singularValues! }; // four names, four tensors
    },
    signature: signatureOf(manifest),
    layout: adapterLayout(allGroups(manifest.config), manifest.targets),
    [Symbol.asyncDispose]: close,
  };
}

/** The tensors in the weights file, and those in other forms. No graph can refer to the latter. */
function withOriginals(stored: TensorSource, originals: Originals, manifest: Manifest): TensorSource {
  return {
    has: (name) => stored.has(name) || originals.shapeOf(name) !== undefined,
    stored: (name) => {
      const shape = originals.shapeOf(name);
      return shape ? { dtype: "float32", shape, location: "", offset: 0, length: 0 } : stored.stored(name);
    },
    read: (name) => (originals.shapeOf(name) ? originals.read(name) : stored.read(name)),
    keeps: (name) => manifest.originals[name] === SERVED,
  };
}

async function openPart(dir: string, name: string): Promise<SafetensorsFile> {
  const path = join(dir, name);
  if (!existsSync(path)) throw new AppError("base_invalid", `${dir} lacks ${name}. Build the base again.`);
  try {
    return await openSafetensors(path);
  } catch (cause) {
    throw new AppError("base_invalid", `${dir} is damaged: ${(cause as Error).message} Build the base again.`, {
      cause,
    });
  }
}

/** The bases of `targets` as a bases file stores them. The file must stay open while they are read. */
function storedBases(
  file: SafetensorsFile,
  targets: readonly { readonly name: string; readonly k: number }[],
): readonly StoredBasis[] {
  return targets.map(({ name, k }) => ({
    name,
    k,
    left: storedTensor(file, BASES_FILE, `${name}.U`),
    right: storedTensor(file, BASES_FILE, `${name}.V`),
    readRight: () => file.read(`${name}.V`),
  }));
}

/** The same bases in the form that the serving graph needs. */
export async function servedBases(
  file: SafetensorsFile,
  targets: readonly { readonly name: string; readonly k: number }[],
): Promise<readonly ServedBasis[]> {
  return await Promise.all(
    storedBases(file, targets).map(async (basis) => {
      const sigma = toFloat32(await file.read(`${basis.name}.sigma`));
      const all = toFloat32(await file.read(`${basis.name}.singular_values`));
      const squares = all.reduce((sum, value) => sum + value * value, 0);
      const least = sigma.at(-1) ?? 0;
      const isStrong = least > 0 && least * least >= squares / all.length;
      return { ...basis, sigma, isStrong, readLeft: () => file.read(`${basis.name}.U`) };
    }),
  );
}

/** The properties that an adapter must match to fit a base. */
function signatureOf(manifest: Manifest): BaseSignature {
  const linears = new Map<string, LinearSignature>(
    allLinears(manifest.config).map(({ name, dIn, dOut }) => [name, { name, dIn, dOut }]),
  );
  for (const { name, dIn, dOut, k, basisId } of manifest.targets) linears.set(name, { name, dIn, dOut, k, basisId });
  return { baseId: manifest.baseId, linears, vocabSize: manifest.config.vocabSize };
}
