/**
 * A base directory for an engine whose weights contain one adapter. It has the serving graph without adapters.
 * The changed weights are in a separate file; all other files are linked from the original base.
 * In quantised bases the changed groups are int8 in blocks of 32, which loses less than the base's own quantisation.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Adapter } from "../../adapter/adapter.ts";
import { decodeModel } from "../../formats/onnx-proto.ts";
import { openSafetensors } from "../../formats/safetensors.ts";
import { writeSafetensors } from "../../formats/safetensors-writer.ts";
import { externalTensors, writeGraph } from "../../graph/serialize.ts";
import { type LinearGroup, allGroups } from "../../model/linears.ts";
import { buildServeGraph } from "../../model/serve/serve-graph.ts";
import { linearWeight } from "../../model/weight-names.ts";
import { plainLayout } from "../../model/serve/quantized-matrix.ts";
import { formatOf } from "../../model/serve/weight-layouts.ts";
import { type TensorSource, type WeightFormat, groupOfPart } from "../../model/weights.ts";
import { type Base, SERVE_GRAPH_FILE, SERVE_WEIGHTS_FILE, WEIGHTS_FILE, tensorSource } from "../base.ts";
import { linkOrCopy } from "../link-or-copy.ts";
import { MANIFEST_FILE, type Manifest } from "../manifest.ts";
import { mergedWeights } from "./merged-weights.ts";
import { writeWholeDirectory } from "../../checkpoint/whole-directory.ts";

/** The targets' weights with the adapter merged in, float32. */
const MERGED_WEIGHTS_FILE = "merged.safetensors";
/** Weights made for the merged graph. */
const MERGED_MADE_FILE = "merged.weights";

const MERGED_FORMAT: WeightFormat = { kind: "quantized", ...plainLayout(8, 32) };

/**
 * Writes the merged base directory. Does nothing where it already exists.
 * @param generation the adapter's, noted in the manifest
 * @throws {AppError} not_mergeable, adapter_incompatible; no files are left behind then
 */
export async function writeMergedBase(
  base: Base,
  adapter: Adapter,
  generation: string,
  dir: string,
  numThreads: number,
): Promise<void> {
  if (existsSync(join(dir, MANIFEST_FILE))) return;
  await using merged = await mergedWeights(base, adapter, numThreads);
  await writeWholeDirectory(
    dir,
    async (temporary) => {
      for (const name of [WEIGHTS_FILE, SERVE_WEIGHTS_FILE])
        await linkOrCopy(join(base.dir, name), join(temporary, name));
      await writeChanged(join(temporary, MERGED_WEIGHTS_FILE), base, merged);
      await writeMergedGraph(temporary, base, merged.changed);
      const manifest: Manifest = {
        ...base.manifest,
        hasOriginals: false,
        originals: {},
        merged: generation,
        threshold: null,
        targets: [],
      };
      await writeFile(join(temporary, MANIFEST_FILE), JSON.stringify(manifest));
    },
    rename,
  );
}

type Changed = { readonly changed: ReadonlySet<string>; read(name: string): ReturnType<TensorSource["read"]> };

async function writeChanged(path: string, base: Base, merged: Changed): Promise<void> {
  const specs = [...merged.changed].map((name) => ({
    name,
    dtype: "float32" as const,
    shape: base.source.stored(name).shape,
  }));
  await writeSafetensors(path, specs, (name) => merged.read(name));
}

async function writeMergedGraph(dir: string, base: Base, changed: ReadonlySet<string>): Promise<void> {
  const { manifest } = base;
  await using file = await openSafetensors(join(dir, MERGED_WEIGHTS_FILE));
  const changedSource = tensorSource(file, MERGED_WEIGHTS_FILE);
  const from = (name: string): TensorSource => (changed.has(name) ? changedSource : base.source);
  const source: TensorSource = {
    has: (name) => base.source.has(name),
    stored: (name) => from(name).stored(name),
    read: (name) => from(name).read(name),
    keeps: (name) => base.source.keeps?.(name) ?? false,
  };
  const isChanged = (group: LinearGroup): boolean =>
    group.members.some((member) => changed.has(linearWeight(member.name)));
  const changedGroups = new Set(
    allGroups(manifest.config)
      .filter(isChanged)
      .map((group) => group.name),
  );
  const quantized = externalTensors(decodeModel(await readFile(join(base.dir, SERVE_GRAPH_FILE))));
  const graph = buildServeGraph({
    config: manifest.config,
    source,
    formatOf: (name) =>
      manifest.layouts && changedGroups.has(name) ? MERGED_FORMAT : formatOf(manifest.layouts, name),
    bases: [],
    // Groups that the adapter does not change are quantised already.
    known: (name) => (changedGroups.has(groupOfPart(name) ?? name) ? undefined : quantized.get(name)),
  });
  await writeGraph(graph, join(dir, SERVE_GRAPH_FILE), MERGED_MADE_FILE);
}
