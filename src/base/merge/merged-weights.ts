/**
 * A checkpoint's tensors with an adapter merged in. A target's weights are W + L·R. All other weights are unchanged.
 * ONNX Runtime computes the products in float64, so the only rounding is the last one.
 */
import type { Adapter } from "../../adapter/adapter.ts";
import { assertFits } from "../../adapter/adapter.ts";
import { type MergeBasis, assertMergeable, deltaFactors } from "../../adapter/merge.ts";
import { AppError } from "../../errors.ts";
import { Graph } from "../../graph/graph.ts";
import { matMul } from "../../graph/ops/linear.ts";
import { serializeGraph } from "../../graph/serialize.ts";
import { linearWeight } from "../../model/weight-names.ts";
import { type Session, hostTensorOf, openSession, runtimeTensor } from "../../runtime/ort.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../../tensor/host-tensor.ts";
import type { Base } from "../base.ts";

export interface MergedWeights extends AsyncDisposable {
  /** Names of the checkpoint's tensors that the adapter changes. */
  readonly changed: ReadonlySet<string>;
  /** A changed tensor, float32 [dOut,dIn]. */
  read(name: string): Promise<HostTensor>;
}

/**
 * @throws {AppError} not_mergeable (n > 1 heads, or a slim base), adapter_incompatible
 */
export async function mergedWeights(base: Base, adapter: Adapter, numThreads: number): Promise<MergedWeights> {
  assertFits(adapter, base.signature);
  assertMergeable(adapter);
  if (!base.manifest.hasOriginals)
    throw new AppError(
      "not_mergeable",
      `${base.dir} was built with --slim, without the original weights. Build it from the checkpoint again, without --slim.`,
    );
  const products = await openProducts(numThreads);
  const targets = new Map(adapter.targets.map((target) => [linearWeight(target.name), target]));
  return {
    changed: new Set(targets.keys()),
    read: async (name) => {
      const target = targets.get(name);
      if (!target) throw new Error(`internal: the adapter does not change ${name}`);
      const { dIn, dOut } = target;
      const basis = adapter.method === "mo-sara" ? await mergeBasis(base, target.name) : null;
      const { left, right, k } = deltaFactors(adapter, target, basis);
      const delta = await multiply(products, left, right, [dOut, k, dIn]);
      const weight = toFloat32(await base.source.read(name));
      return hostTensor(
        "float32",
        [dOut, dIn],
        Float32Array.from(weight, (value, i) => value + (delta[i] ?? 0)),
      );
    },
    [Symbol.asyncDispose]: () => products[Symbol.asyncDispose](),
  };
}

/** The singular directions that form the delta of a mo-sara target. */
export async function mergeBasis(base: Base, target: string): Promise<MergeBasis> {
  const { left, sigma, right } = await base.readBasis(target);
  return { left: toFloat32(left), right: toFloat32(right), k: sigma.shape[0] ?? 0 };
}

/** A session that multiplies two float64 matrices of any size. */
function openProducts(numThreads: number): Promise<Session> {
  const graph = new Graph("product");
  const product = matMul(graph.input("left", "float64", ["m", "k"]), graph.input("right", "float64", ["k", "n"]));
  graph.output(product, "product");
  return openSession(serializeGraph(graph), { device: "cpu", numThreads });
}

async function multiply(
  products: Session,
  left: Float64Array,
  right: Float64Array,
  [m, k, n]: readonly [number, number, number],
): Promise<Float64Array> {
  const feeds = { left: runtimeTensor("float64", left, [m, k]), right: runtimeTensor("float64", right, [k, n]) };
  const { product } = await products.run(feeds, ["product"]);
  if (!product) throw new Error("internal: the product was not fetched");
  return hostTensorOf(product).data as Float64Array;
}
