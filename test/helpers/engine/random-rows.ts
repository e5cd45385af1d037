/** Adapters with random numbers for the rows of a batch: of every method, with and without routers, and blends. */
import type { Adapter, RouterKind } from "../../../src/adapter/adapter.ts";
import { expectedTensors } from "../../../src/adapter/methods.ts";
import { allLinears } from "../../../src/model/linears.ts";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { type HostTensor, numElements } from "../../../src/tensor/host-tensor.ts";
import { noise } from "../models/checkpoints.ts";
import { type TestRunner } from "./runner.ts";

/** An adapter with random numbers on all targets of the runner's base. */
export function randomAdapter(test: TestRunner, seed: number, heads = 1, router: RouterKind = "none"): AdapterRow {
  return test.ready(randomMoSara(test, seed, heads, router), `random-${seed}`);
}

function randomMoSara(test: TestRunner, seed: number, heads = 1, router: RouterKind = "none"): Adapter {
  const next = noise(seed);
  const random = (shape: readonly number[], name: string): HostTensor => {
    const scale = name === "v" ? 0.5 : 1;
    return { dtype: "float32", shape, data: Float32Array.from({ length: numElements(shape) }, () => next() * scale) };
  };
  const targets = test.manifest.targets.map(({ name, dIn, dOut, k, basisId }) => {
    const shapes = Object.entries(expectedTensors("mo-sara", router, heads, { dIn, dOut, k }));
    return {
      name,
      dIn,
      dOut,
      k,
      basisId,
      tensors: Object.fromEntries(shapes.map(([key, shape]) => [key, random(shape, key)])),
    };
  });
  return { method: "mo-sara", baseId: test.manifest.baseId, heads, router, targets, card: {} };
}

/** A blend of two adapters of one head, or with one of several: its row has a further term. */
export function randomBlend(test: TestRunner, seed: number, heads = 1): AdapterRow {
  const members = [randomMoSara(test, seed, heads, heads > 1 ? "full" : "none"), randomMoSara(test, seed + 1)];
  return test.blend(
    members.map((adapter, i) => ({ adapter, weight: 0.7 - 0.4 * i })),
    `blend-${seed}`,
  );
}

/**
 * A SARA or LoRA adapter with random numbers on the first `count` linear layers, so that groups are touched in part.
 */
export function randomLowRank(
  test: TestRunner,
  seed: number,
  method: "sara" | "lora",
  rank: number,
  count: number,
): AdapterRow {
  const next = noise(seed);
  const targets = allLinears(test.manifest.config)
    .slice(0, count)
    .map(({ name, dIn, dOut }) => {
      const shapes = Object.entries(expectedTensors(method, "none", 1, { dIn, dOut, k: rank }));
      const tensors = shapes.map(([key, shape]): [string, HostTensor] => {
        const data = Float32Array.from({ length: numElements(shape) }, () => next() * 0.3);
        return [key, { dtype: "float32", shape, data }];
      });
      const scale = method === "lora" ? { scale: 0.5 } : {};
      return { name, dIn, dOut, k: rank, ...scale, tensors: Object.fromEntries(tensors) };
    });
  const adapter: Adapter = { method, baseId: test.manifest.baseId, heads: 1, router: "none", targets, card: {} };
  return test.ready(adapter, `${method}-${seed}`);
}

/** A blend of many, whose sum would show another order of its terms. */
function manyTerms(test: TestRunner, count: number): AdapterRow {
  const members = Array.from({ length: count }, (_, i) => ({
    adapter: randomMoSara(test, 220 + i),
    weight: 0.3 - 0.1 * i,
  }));
  return test.blend(members, `${count} terms`);
}

/**
 * Adapters of neighbours: none, one head, both routers with different numbers of heads, low rank of several ranks, and
 * blends.
 */
export function neighbours(test: TestRunner): (AdapterRow | null)[] {
  const blends = [randomBlend(test, 200), randomBlend(test, 210, 3), manyTerms(test, 7), manyTerms(test, 8)];
  const others = Array.from({ length: 16 }, (_, i) => {
    if (i % 6 === 3) return null;
    if (i % 6 === 1) return randomAdapter(test, 100 + i, 2 + (i % 5), "rank1");
    if (i % 6 === 2) return randomAdapter(test, 100 + i, 3 + (i % 7), "full");
    if (i % 6 === 4) return randomLowRank(test, 100 + i, "sara", 3 + i, 5);
    return i % 6 === 5 ? randomLowRank(test, 100 + i, "lora", i === 5 ? 4 : 20, 9) : randomAdapter(test, 100 + i);
  });
  return [...others.slice(0, 9), ...blends, ...others.slice(9)];
}
