/**
 * An adapter in training: its layers with their initial values, and the finished adapter.
 * Methods define the parameters and their initial values; this file cuts
 * the base's bases to each layer's k. Knows nothing of steps and files.
 */
import type { Adapter, Card, Method, RouterKind } from "../adapter/adapter.ts";
import type { BasisValues } from "../adapter/method.ts";
import { METHODS } from "../adapter/methods.ts";
import type { TrainTarget, Trained } from "../model/train/train-graph.ts";
import type { StoredTensor } from "../model/weights.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import { seedRandom } from "../tensor/random.ts";
import type { FlatParameters } from "./flat-parameters.ts";

/** A layer to adapt. */
export interface AdaptedLayer {
  readonly name: string;
  readonly dIn: number;
  readonly dOut: number;
  /** Directions used, or the rank. */
  readonly k: number;
  /** lora: alpha / r. */
  readonly scale?: number;
  /** mo-sara: the basis in the base's files that the graph reads. */
  readonly stored?: { readonly basisId: string; readonly left: StoredTensor; readonly right: StoredTensor };
  /** The layer's leading triplets, at least k of them, where the method starts from them. */
  readonly basis?: () => Promise<BasisValues>;
}

export interface AdapterPlan {
  readonly method: Method;
  readonly heads: number;
  readonly router: RouterKind;
  readonly layers: readonly AdaptedLayer[];
}

/** The plan in the form that the training graph accepts. */
export function trainedOf({ method, heads, router, layers }: AdapterPlan): Trained & { kind: "adapter" } {
  const targets = layers.map(({ name, dIn, dOut, k, scale, stored }): TrainTarget => {
    const basis = stored ? { left: stored.left, right: stored.right } : null;
    return { name, dIn, dOut, k, basis, ...(scale === undefined ? {} : { scale }) };
  });
  return { kind: "adapter", method: METHODS[method], settings: { heads, router }, targets };
}

/**
 * Fills `parameters` with the values at which the adapter changes nothing. The seed decides all draws.
 * @returns the factor on the learning rate for each number, with the layout of `parameters.values`
 */
export async function initializeAdapter(
  plan: AdapterPlan,
  parameters: FlatParameters,
  seed: number,
): Promise<Float32Array> {
  const { method, settings, targets } = trainedOf(plan);
  const random = seedRandom(seed);
  const units = new Float32Array(parameters.length).fill(1);
  for (const [i, target] of targets.entries()) {
    const basis = plan.layers[i]?.basis;
    const values = basis ? leadingBasis(await basis(), target.k) : null;
    for (const [key, initial] of Object.entries(method.initialValues(target, settings, values, random)))
      parameters.set(`${target.name}.${key}`, initial);
    for (const [key, own] of Object.entries(method.units?.(target, settings, values) ?? {}))
      parameters.set(`${target.name}.${key}`, own, units);
  }
  return units;
}

/**
 * Makes the adapter from trained numbers.
 * @param flat has the layout of `parameters.values`
 */
export function adapterOf(
  plan: AdapterPlan,
  baseId: string,
  parameters: FlatParameters,
  flat: Float32Array,
  { endTokenIds, card }: { readonly endTokenIds: readonly number[]; readonly card: Card },
): Adapter {
  const { method, settings, targets: trained } = trainedOf(plan);
  const targets = plan.layers.map(({ name, dIn, dOut, k, scale, stored }, i) => {
    const keys = Object.keys(method.parameters(trained[i] ?? { dIn, dOut, k }, settings));
    const tensors = Object.fromEntries(keys.map((key) => [key, parameters.tensor(`${name}.${key}`, flat)]));
    const onlyOf = { ...(stored ? { basisId: stored.basisId } : {}), ...(scale === undefined ? {} : { scale }) };
    return { name, dIn, dOut, k, ...onlyOf, tensors };
  });
  const ends = endTokenIds.length === 0 ? {} : { endTokenIds };
  return { method: plan.method, baseId, heads: plan.heads, router: plan.router, targets, ...ends, card };
}

/** The first k of a layer's triplets. */
function leadingBasis({ left, sigma, right }: BasisValues, k: number): BasisValues {
  return {
    left: leadingColumns(left, k),
    sigma: hostTensor("float32", [k], toFloat32(sigma).slice(0, k)),
    right: leadingColumns(right, k),
  };
}

function leadingColumns(matrix: HostTensor, k: number): HostTensor {
  const [rows = 0, columns = 0] = matrix.shape;
  if (columns < k) throw new Error(`internal: ${k} directions of ${columns}`);
  const values = toFloat32(matrix);
  const cut = new Float32Array(rows * k);
  for (let row = 0; row < rows; row++) cut.set(values.subarray(row * columns, row * columns + k), row * k);
  return hostTensor("float32", [rows, k], cut);
}
