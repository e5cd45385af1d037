/**
 * The serving graph of a base directory. It refers to the weights and bases that the directory already holds.
 * Weights made for the graph (quantised weights, rotary tables) go into a separate file.
 */
import { join } from "node:path";
import { openSafetensors } from "../../formats/safetensors.ts";
import { writeGraph } from "../../graph/serialize.ts";
import { buildServeGraph } from "../../model/serve/serve-graph.ts";
import { type QuantizedLayout, isSameLayout } from "../../model/serve/quantized-matrix.ts";
import { type WeightLayouts, formatOf } from "../../model/serve/weight-layouts.ts";
import type { HostTensor } from "../../tensor/host-tensor.ts";
import { BASES_FILE, SERVE_GRAPH_FILE, SERVE_WEIGHTS_FILE, WEIGHTS_FILE, servedBases, tensorSource } from "../base.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { type Manifest, SERVED } from "../manifest.ts";
import { createQuantizePool } from "./quantize-pool.ts";

/**
 * Writes `SERVE_GRAPH_FILE` and `SERVE_WEIGHTS_FILE` into `dir`.
 * @param numThreads threads that quantise @param onDone called with 0…1 after each weight that is made
 */
export async function writeServeGraph(
  dir: string,
  checkpoint: Checkpoint,
  layouts: WeightLayouts | null,
  { targets, originals }: Pick<Manifest, "targets" | "originals">,
  numThreads: number,
  onDone: (done: number) => void,
): Promise<void> {
  await using weights = await openSafetensors(join(dir, WEIGHTS_FILE));
  await using basesFile = targets.length > 0 ? await openSafetensors(join(dir, BASES_FILE)) : null;
  const bases = basesFile ? await servedBases(basesFile, targets) : [];
  const stored = tensorSource(weights, WEIGHTS_FILE);
  await using pool = createQuantizePool(numThreads);
  const shapes = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  // The file may hold only the tensors that the graph refers to.
  // The sources of quantised weights come from the checkpoint.
  const source = {
    has: (name: string): boolean => shapes.has(name),
    stored: (name: string) =>
      // The builder asks only for names that `has` accepts, hence `!`.
      stored.has(name) ? stored.stored(name) : { ...shapes.get(name)!, location: "", offset: 0, length: 0 },
    read: (name: string): Promise<HostTensor> => checkpoint.read(name),
    keeps: (name: string): boolean => originals[name] === SERVED,
    readQuantized: async (name: string, layout: QuantizedLayout) => {
      const { quantized } = checkpoint;
      if (quantized && isSameLayout(quantized.layoutOf(name), layout)) return await quantized.read(name);
      return await pool.quantize(await checkpoint.read(name), layout);
    },
  };
  const graph = buildServeGraph({
    config: checkpoint.config,
    source,
    formatOf: (name) => formatOf(layouts, name),
    bases,
  });
  const numMade = graph.weights.filter((weight) => weight.data.kind === "made").length;
  let numWritten = 0;
  await writeGraph(graph, join(dir, SERVE_GRAPH_FILE), SERVE_WEIGHTS_FILE, () => onDone(++numWritten / numMade));
}
