/** Mo-SARA adapters with random numbers for any base, one head: every seed is another adapter, none of them is the base. */
import type { Adapter } from "../src/adapter/adapter.ts";
import type { Manifest } from "../src/base/manifest.ts";
import { hostTensor } from "../src/tensor/host-tensor.ts";
import { seedRandom } from "../src/tensor/random.ts";
import { randomNormals } from "./random-values.ts";

/** λ like singular values of the base, v small enough that the model stays sane. */
const SCALE_DEVIATION = 0.05;

/** An adapter for all targets of the base. */
export function randomAdapter({ baseId, targets }: Manifest, seed: number): Adapter {
  const random = seedRandom(seed);
  return {
    method: "mo-sara",
    baseId,
    heads: 1,
    router: "none",
    targets: targets.map(({ name, dIn, dOut, k, basisId }) => ({
      name,
      dIn,
      dOut,
      k,
      basisId,
      tensors: {
        lambda: hostTensor("float32", [1, k], randomNormals(k, 1, random)),
        v: hostTensor("float32", [dOut], randomNormals(dOut, SCALE_DEVIATION, random)),
      },
    })),
    card: { made_by: "load-tests", seed },
  };
}
