/** The training methods of the fixtures (`training/methods/*`): what is trained, on which base, from which batches. */
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { METHODS } from "../../../src/adapter/methods.ts";
import type { Method, RouterKind } from "../../../src/adapter/adapter.ts";
import { tensorSource } from "../../../src/base/base.ts";
import type { Checkpoint } from "../../../src/checkpoint/checkpoint.ts";
import { type SafetensorsFile, openSafetensors } from "../../../src/formats/safetensors.ts";
import type { Graph } from "../../../src/graph/graph.ts";
import { writeGraph } from "../../../src/graph/serialize.ts";
import { parseModelConfig } from "../../../src/model/families.ts";
import type { ModelConfig } from "../../../src/model/config/model-config.ts";
import type { TrainTarget, Trained } from "../../../src/model/train/train-graph.ts";
import type { StoredTensor, TensorSource } from "../../../src/model/weights.ts";
import { type Session, openSession } from "../../../src/runtime/ort.ts";
import { bytesOf } from "../../../src/tensor/host-tensor.ts";
import { casesIn, fixturesDir, readJson } from "../fixtures.ts";
import type { Tensors } from "../run-graph.ts";

const dir = fixturesDir("training");

export interface MethodCase {
  readonly slug: string;
  readonly kind: Method | "full";
  readonly heads: number;
  readonly router: RouterKind | null;
  readonly rank: number | null;
  readonly alpha: number | null;
  readonly rank_of_target: Readonly<Record<string, number>> | null;
  readonly trainable: Readonly<Record<string, readonly number[]>>;
  readonly init: { readonly loss: number };
  readonly point: { readonly loss: number };
}

export interface Batch {
  readonly ids: readonly (readonly number[])[];
  readonly mask: readonly (readonly number[])[];
}

export const methodCases: readonly MethodCase[] = casesIn(join(dir, "methods"), "case.json").map((slug) =>
  readJson<MethodCase>(dir, "methods", slug, "case.json"),
);

export const { batches } = readJson<{ readonly batches: readonly Batch[] }>(dir, "batches.json");

/** A case's files beside each other in a folder of its own, where a graph that refers to them can be opened. */
export interface OpenCase extends AsyncDisposable {
  /** Where the files lie that `source` and the bases refer to. */
  readonly folder: string;
  readonly config: ModelConfig;
  readonly source: TensorSource;
  readonly trained: Trained;
  readonly base: SafetensorsFile;
  readonly init: SafetensorsFile;
  readonly point: SafetensorsFile;
  open(graph: Graph): Promise<Session>;
}

const BASE_FILE = "base.safetensors";
const INIT_FILE = "init.safetensors";

export async function openCase(one: MethodCase, numThreads = 1): Promise<OpenCase> {
  const folder = await mkdtemp(join(tmpdir(), "mosara-train-"));
  const from = join(dir, "methods", one.slug);
  await copyFile(join(dir, "base", "model.safetensors"), join(folder, BASE_FILE));
  await copyFile(join(from, INIT_FILE), join(folder, INIT_FILE));
  const base = await openSafetensors(join(folder, BASE_FILE));
  const init = await openSafetensors(join(folder, INIT_FILE));
  const point = await openSafetensors(join(from, "point.safetensors"));
  let numGraphs = 0;
  return {
    folder,
    config: parseModelConfig(readJson(dir, "base", "config.json")),
    source: tensorSource(base, BASE_FILE),
    trained: trainedOf(one, base, init),
    base,
    init,
    point,
    open: async (graph) => {
      const name = join(folder, `graph-${numGraphs++}.onnx`);
      await writeGraph(graph, name, `graph-${numGraphs}.bin`);
      return openSession(name, { device: "cpu", numThreads });
    },
    [Symbol.asyncDispose]: async () => {
      for (const file of [base, init, point]) await file[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** Tensors of a checkpoint, shards or not, in one file where a graph that refers to them can be opened. */
export async function stageTensors(checkpoint: Pick<Checkpoint, "tensors" | "read">): Promise<StagedTensors> {
  const folder = await mkdtemp(join(tmpdir(), "mosara-train-"));
  const places = new Map<string, StoredTensor>();
  let offset = 0;
  const parts: Uint8Array[] = [];
  for (const { name } of checkpoint.tensors) {
    const tensor = await checkpoint.read(name);
    const bytes = bytesOf(tensor);
    places.set(name, {
      dtype: tensor.dtype,
      shape: tensor.shape,
      location: "tensors.bin",
      offset,
      length: bytes.byteLength,
    });
    parts.push(bytes);
    offset += bytes.byteLength;
  }
  await writeFile(join(folder, "tensors.bin"), Buffer.concat(parts));
  return {
    folder,
    source: {
      has: (name) => places.has(name),
      stored: (name) => places.get(name)!,
      read: (name) => checkpoint.read(name),
    },
    open: async (graph) => {
      await writeGraph(graph, join(folder, "graph.onnx"), "graph.bin");
      return openSession(join(folder, "graph.onnx"), { device: "cpu", numThreads: 1 });
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

export interface StagedTensors extends AsyncDisposable {
  /** The directory of the source's files. */
  readonly folder: string;
  readonly source: TensorSource;
  open(graph: Graph): Promise<Session>;
}

function trainedOf(one: MethodCase, base: SafetensorsFile, init: SafetensorsFile): Trained {
  if (one.kind === "full") return { kind: "full" };
  const method = METHODS[one.kind];
  const names = [...new Set(Object.keys(one.trainable).map((name) => name.slice(0, name.lastIndexOf("."))))];
  const targets = names.map((name): TrainTarget => {
    const [dOut, dIn] = base.tensors.get(`model.${name}.weight`)!.shape as [number, number]; // a target of this base
    const k = one.rank_of_target?.[name] ?? (one.rank as number);
    const stored = (part: string): StoredTensor => {
      // Given for these methods.
      const { dtype, shape, byteOffset, byteLength } = init.tensors.get(`${name}.basis_${part}`)!;
      return { dtype, shape, location: INIT_FILE, offset: byteOffset, length: byteLength };
    };
    const basis = method.basis === "forward" ? { left: stored("U"), right: stored("V") } : null;
    return { name, dIn, dOut, k, basis, ...(one.alpha === null ? {} : { scale: one.alpha / k }) };
  });
  return { kind: "adapter", method, settings: { heads: one.heads, router: one.router ?? "none" }, targets };
}

/** The case's parameters at one of its two points. */
export async function parametersAt(one: MethodCase, open: OpenCase, at: "init" | "point"): Promise<Tensors> {
  const file = at === "point" ? open.point : one.kind === "full" ? open.base : open.init;
  const names = Object.keys(one.trainable);
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await file.read(name)] as const)));
}

/** A batch as the training graph is fed: every masked token is predicted by the row before it. */
export function feedsOf({ ids, mask }: Batch): Tensors {
  const [B, T] = [ids.length, ids[0]?.length ?? 0];
  const wanted = ids.flatMap((row, b) =>
    row.flatMap((id, t) => (mask[b]?.[t] === 1 && t > 0 ? [{ row: b * T + t - 1, id }] : [])),
  );
  return {
    input_ids: int64([B, T], ids.flat()),
    position_ids: int64(
      [B, T],
      ids.flatMap((row) => row.map((_, t) => t)),
    ),
    loss_rows: int64(
      [wanted.length],
      wanted.map(({ row }) => row),
    ),
    loss_labels: int64(
      [wanted.length],
      wanted.map(({ id }) => id),
    ),
    loss_weights: float32(
      [wanted.length],
      wanted.map(() => 1),
    ),
    loss_denominator: float32([], [wanted.length]),
  };
}

export const int64 = (shape: readonly number[], values: readonly number[]) =>
  ({ dtype: "int64", shape, data: BigInt64Array.from(values, BigInt) }) as const;
export const float32 = (shape: readonly number[], values: readonly number[]) =>
  ({ dtype: "float32", shape, data: Float32Array.from(values) }) as const;
