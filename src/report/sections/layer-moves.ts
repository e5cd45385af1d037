/** The distance of trained numbers from their initial values, layer by layer, for a report. Pure. */
import { type HostTensor, toFloat32 } from "../../tensor/host-tensor.ts";
import type { LayerReport, TensorMove } from "../report-data.ts";

/** One flat buffer of numbers, with the names of its tensors. */
export interface NamedTensors {
  /** `<layer>.<tensor>`. */
  readonly names: readonly string[];
  tensor(name: string, flat: Float32Array): HostTensor;
}

/**
 * Every layer in the order of the names, with its tensors' norms.
 * @param about k and singular values of a layer
 */
export function layerReports(
  parameters: NamedTensors,
  initial: Float32Array,
  final: Float32Array,
  about: (layer: string) => Pick<LayerReport, "k" | "singularValues">,
): readonly LayerReport[] {
  const layers = new Map<string, TensorMove[]>();
  for (const path of parameters.names) {
    const dot = path.lastIndexOf(".");
    const [layer, name] = [path.slice(0, Math.max(0, dot)), path.slice(dot + 1)];
    const moves = layers.get(layer) ?? [];
    layers.set(layer, moves);
    moves.push(moveOf(name, toFloat32(parameters.tensor(path, initial)), toFloat32(parameters.tensor(path, final))));
  }
  return [...layers].map(([name, tensors]) => ({ name, tensors, ...about(name) }));
}

function moveOf(name: string, before: Float32Array, after: Float32Array): TensorMove {
  let [initial, final, moved] = [0, 0, 0];
  before.forEach((from, i) => {
    const to = after[i] ?? 0;
    initial += from * from;
    final += to * to;
    moved += (to - from) ** 2;
  });
  const [initialNorm, finalNorm, movedNorm] = [Math.sqrt(initial), Math.sqrt(final), Math.sqrt(moved)];
  return { name, count: before.length, initialNorm, finalNorm, movedNorm };
}
