/** Adapters with random numbers for any base. Every seed gives another adapter, and none of them equals the base. */
import type { Adapter } from "../../src/adapter/adapter.ts";
import type { Manifest } from "../../src/base/manifest.ts";
import { type HostTensor, hostTensor, numElements } from "../../src/tensor/host-tensor.ts";
import { type RandomState, seedRandom } from "../../src/tensor/random.ts";
import { randomNormals } from "./random-values.ts";

/** λ like singular values of the base, v small enough that the model stays sane. */
const SCALE_DEVIATION = 0.05;

/** How an adapter chooses among its heads. */
export interface Heads {
  readonly heads: number;
  readonly router: "none" | "rank1" | "full";
}

const ONE_HEAD: Heads = { heads: 1, router: "none" };

/** An adapter for all targets of the base. */
export function randomAdapter(
  { baseId, targets }: Manifest,
  seed: number,
  { heads, router }: Heads = ONE_HEAD,
): Adapter {
  const random = seedRandom(seed);
  return {
    method: "mo-sara",
    baseId,
    heads,
    router,
    targets: targets.map(({ name, dIn, dOut, k, basisId }) => ({
      name,
      dIn,
      dOut,
      k,
      basisId,
      tensors: {
        lambda: hostTensor("float32", [heads, k], randomNormals(heads * k, 1, random)),
        v: hostTensor("float32", [dOut], randomNormals(dOut, SCALE_DEVIATION, random)),
        ...routerTensors(router, heads, k, random),
      },
    })),
    card: { made_by: "load-tests", seed },
  };
}

function routerTensors(router: Heads["router"], heads: number, k: number, random: RandomState) {
  const normals = (shape: readonly number[]): HostTensor =>
    hostTensor("float32", shape, randomNormals(numElements(shape), 1, random));
  if (router === "none") return {};
  if (router === "full") return { router_full: normals([heads, k]) };
  return { router_w1: normals([k]), router_w2: normals([heads]) };
}

/** A LoRA of this rank for all targets of the base, alpha / r = 1, both halves random. */
export function randomLora({ baseId, targets }: Manifest, seed: number, rank: number): Adapter {
  const random = seedRandom(seed);
  const normals = (shape: readonly number[], deviation: number): HostTensor =>
    hostTensor("float32", shape, randomNormals(numElements(shape), deviation, random));
  return {
    method: "lora",
    baseId,
    heads: 1,
    router: "none",
    targets: targets.map(({ name, dIn, dOut }) => ({
      name,
      dIn,
      dOut,
      k: rank,
      scale: 1,
      tensors: {
        lora_A: normals([rank, dIn], 1 / Math.sqrt(dIn)),
        lora_B: normals([dOut, rank], SCALE_DEVIATION),
      },
    })),
    card: { made_by: "load-tests", seed },
  };
}
