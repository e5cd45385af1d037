/** Adapters with random numbers that fit a given base, of every method, as files. */
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import type { Adapter, Method, RouterKind } from "../../../src/adapter/adapter.ts";
import { expectedTensors } from "../../../src/adapter/methods.ts";
import type { Manifest } from "../../../src/base/manifest.ts";
import { allLinears } from "../../../src/model/linears.ts";
import { numElements } from "../../../src/tensor/host-tensor.ts";
import { noise } from "./checkpoints.ts";

interface AdapterKind {
  readonly method?: Method;
  readonly heads?: number;
  readonly router?: RouterKind;
  /** Of SARA and LoRA. */
  readonly rank?: number;
  readonly seed: number;
}

/** One adapter of every method, and one with several heads. */
export const ADAPTER_KINDS = [
  { method: "mo-sara", seed: 1 },
  { method: "mo-sara", heads: 3, router: "full", seed: 2 },
  { method: "sara", rank: 5, seed: 3 },
  { method: "lora", rank: 8, seed: 4 },
] as const satisfies readonly AdapterKind[];

/**
 * An adapter on all targets of the base (SARA, LoRA: on all its linear layers), strong enough to change what is
 * generated.
 */
export function adapterFor(
  manifest: Manifest,
  { method = "mo-sara", heads = 1, rank = 4, seed, ...rest }: AdapterKind,
): Adapter {
  const router = rest.router ?? (heads > 1 ? "rank1" : "none");
  const next = noise(seed);
  const linears =
    method === "mo-sara" ? manifest.targets : allLinears(manifest.config).map((linear) => ({ ...linear, k: rank }));
  const targets = linears.map((linear) => {
    const { name, dIn, dOut, k } = linear;
    const tensors = Object.entries(expectedTensors(method, router, heads, { dIn, dOut, k })).map(([key, shape]) => {
      const data = Float32Array.from({ length: numElements(shape) }, () => next() * (method === "mo-sara" ? 1 : 0.4));
      return [key, { dtype: "float32" as const, shape, data }];
    });
    const onlyOf = "basisId" in linear ? { basisId: linear.basisId } : method === "lora" ? { scale: 2 } : {};
    return {
      name,
      dIn,
      dOut,
      k,
      ...onlyOf,
      tensors: Object.fromEntries(tensors) as Adapter["targets"][number]["tensors"],
    };
  });
  return { method, baseId: manifest.baseId, heads, router, targets, card: { seed } };
}

/** The same as the bytes of a `.mosara` file. */
export function adapterFile(manifest: Manifest, kind: AdapterKind): Uint8Array {
  return encodeAdapter(adapterFor(manifest, kind));
}
