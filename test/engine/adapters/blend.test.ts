/**
 * Blends against the formulas: the logits of a blend's row equal those of a float64 decoder that adds every member's
 * weighted update by itself, as docs/explanation/mo-sara.md writes it. And what no row can hold is refused.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Adapter, AdapterTarget } from "../../../src/adapter/adapter.ts";
import type { BlendMember } from "../../../src/adapter/blend.ts";
import { openBase } from "../../../src/base/base.ts";
import { layOutBlend } from "../../../src/engine/adapters/blend-row.ts";
import { toFloat32 } from "../../../src/tensor/host-tensor.ts";
import { expectAllclose, maxAbs, maxAbsDifference } from "../../helpers/allclose.ts";
import { adapterFor } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { writeCheckpoint } from "../../helpers/models/checkpoints.ts";
import { type Update, referenceLogits } from "../../helpers/engine/reference-decoder.ts";
import { openTestRunner } from "../../helpers/engine/runner.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-blend-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const SIZES = { numLayers: 2, numHeads: 4, numKvHeads: 2, headSize: 8, theta: 10_000, epsilon: 1e-5 };
const checkpoint = await writeCheckpoint(
  join(scratch, "checkpoint"),
  {
    model_type: "llama",
    hidden_size: 32,
    intermediate_size: 80,
    num_hidden_layers: SIZES.numLayers,
    num_attention_heads: SIZES.numHeads,
    num_key_value_heads: SIZES.numKvHeads,
    head_dim: SIZES.headSize,
    vocab_size: 31,
    max_position_embeddings: 128,
    rms_norm_eps: SIZES.epsilon,
  },
  { scale: 0.3 },
);
const IDS = Array.from({ length: 70 }, (_, i) => (i * 7 + 3) % 31);
const baseDir = await builtBase(checkpoint);
const base = await openBase(baseDir);
const { manifest } = base;
const test = await openTestRunner(baseDir);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await base[Symbol.asyncDispose]();
});
const bases = new Map<string, { U: number[][]; V: number[][] }>();
for (const { name, k } of manifest.targets) {
  const { left, right } = await base.readBasis(name);
  const rowsOf = (values: Float32Array): number[][] =>
    Array.from({ length: values.length / k }, (_, row) => [...values.subarray(row * k, (row + 1) * k)]);
  bases.set(name, { U: rowsOf(toFloat32(left)), V: rowsOf(toFloat32(right)) });
}

type Kind = Parameters<typeof adapterFor>[1];
/** Adapters whose updates are as large as the weights' own products, but not larger. */
const adapter = (kind: Kind): Adapter => adapterFor(manifest, kind);

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const rows = (target: AdapterTarget, name: string): number[][] => {
  const { shape, data } = target.tensors[name]!;
  const width = shape.at(-1)!;
  return Array.from({ length: data.length / width }, (_, row) =>
    Array.from(data.subarray(row * width, (row + 1) * width) as Float32Array),
  );
};

/** ΔW x of one adapter on one layer, from its formula. */
function updateOf({ method, heads, router }: Adapter, target: AdapterTarget, x: readonly number[]): number[] {
  if (method === "lora") {
    const z = rows(target, "lora_A").map((row) => dot(row, x));
    return rows(target, "lora_B").map((row) => (target.scale ?? NaN) * dot(row, z));
  }
  if (method === "sara") {
    const [lambda] = rows(target, "Lambda");
    const z = rows(target, "B").map((row, i) => lambda![i]! * dot(row, x));
    return rows(target, "A").map((row) => dot(row, z));
  }
  const { U, V } = bases.get(target.name)!;
  const z = Array.from({ length: target.k }, (_, i) => V.reduce((sum, row, at) => sum + row[i]! * x[at]!, 0));
  const lambda = rows(target, "lambda");
  const scores =
    router === "full"
      ? rows(target, "router_full").map((row) => dot(row, z))
      : router === "rank1"
        ? rows(target, "router_w2")[0]!.map((w2) => w2 * dot(rows(target, "router_w1")[0]!, z))
        : [0];
  const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
  const total = powers.reduce((a, b) => a + b, 0);
  const gained = z.map((value, i) => {
    let gain = 0;
    for (let head = 0; head < heads; head++) gain += (powers[head]! / total) * lambda[head]![i]!;
    return gain * value;
  });
  const [v] = rows(target, "v");
  return U.map((row, o) => v![o]! * dot(gained, row.slice(0, target.k)));
}

const updateBy =
  (members: readonly BlendMember[]): Update =>
  (linear, x) => {
    const updates = members.flatMap((member) => {
      const target = member.adapter.targets.find(({ name }) => name === linear);
      return target ? [updateOf(member.adapter, target, x).map((value) => member.weight * value)] : [];
    });
    return updates.length === 0 ? null : updates.reduce((a, b) => a.map((value, i) => value + b[i]!));
  };

/** The adapter with other numbers, and the v of `of` on the layers that `has` names. */
function withScaleOf(one: Adapter, of: Adapter, has: (name: string) => boolean = () => true): Adapter {
  const targets = one.targets.map((target) => {
    const v = of.targets.find(({ name }) => name === target.name)?.tensors["v"];
    return v && has(target.name) ? { ...target, tensors: { ...target.tensors, v } } : target;
  });
  return { ...one, targets };
}

/** The adapter on some of its layers alone. */
const onlyOn = (one: Adapter, has: (name: string) => boolean): Adapter => ({
  ...one,
  targets: one.targets.filter(({ name }) => has(name)),
});

/** The adapter with fewer of the leading directions. */
function narrowed(one: Adapter): Adapter {
  const targets = one.targets.map((target) => {
    const k = Math.max(1, Math.floor(target.k / 2));
    const [lambda] = rows(target, "lambda");
    const tensor = { dtype: "float32" as const, shape: [1, k], data: Float32Array.from(lambda!.slice(0, k)) };
    return { ...target, k, tensors: { ...target.tensors, lambda: tensor } };
  });
  return { ...one, targets };
}

const [one, two, heads] = [adapter({ seed: 1 }), adapter({ seed: 2 }), adapter({ heads: 3, router: "full", seed: 3 })];
const rank1 = adapter({ heads: 2, seed: 4 });
const [sara, lora, lora2] = [
  adapter({ method: "sara", seed: 5, rank: 3 }),
  adapter({ method: "lora", seed: 6 }),
  adapter({ method: "lora", seed: 7, rank: 9 }),
];
const inFirst = (name: string): boolean => name.startsWith("layers.0.");
const inMlp = (name: string): boolean => name.includes("mlp");

const BLENDS: Readonly<Record<string, readonly BlendMember[]>> = {
  "two of one head": [
    { adapter: one, weight: 0.7 },
    { adapter: two, weight: 0.3 },
  ],
  "two of one head and of different k, subtracted": [
    { adapter: narrowed(one), weight: 1.2 },
    { adapter: two, weight: -0.4 },
  ],
  "two that share v": [
    { adapter: one, weight: 0.6 },
    { adapter: withScaleOf(narrowed(two), one), weight: 0.5 },
  ],
  "two that share v on some layers": [
    { adapter: one, weight: 0.6 },
    { adapter: withScaleOf(two, one, inFirst), weight: 0.5 },
  ],
  "two on different layers": [
    { adapter: onlyOn(one, inFirst), weight: 0.6 },
    { adapter: onlyOn(two, (name) => !inFirst(name)), weight: 0.9 },
  ],
  "one alone": [{ adapter: one, weight: 0.5 }],
  "several heads alone": [{ adapter: heads, weight: 0.5 }],
  "several heads with one head": [
    { adapter: heads, weight: 0.5 },
    { adapter: two, weight: 0.4 },
  ],
  "several heads with one head of the same v, and another": [
    { adapter: withScaleOf(narrowed(two), rank1), weight: 0.4 },
    { adapter: rank1, weight: 0.5 },
    { adapter: one, weight: 0.2 },
  ],
  "several heads on some layers with one head on all": [
    { adapter: onlyOn(rank1, inMlp), weight: 0.5 },
    { adapter: two, weight: 0.4 },
  ],
  "every method": [
    { adapter: heads, weight: 0.4 },
    { adapter: two, weight: 0.3 },
    { adapter: sara, weight: 0.5 },
    { adapter: lora, weight: 0.6 },
  ],
  "SARA and LoRA of different ranks and layers": [
    { adapter: sara, weight: 0.5 },
    { adapter: onlyOn(lora2, inMlp), weight: 0.3 },
    { adapter: lora, weight: -0.6 },
  ],
  "Mo-SARA with LoRA": [
    { adapter: onlyOn(one, inFirst), weight: 0.5 },
    { adapter: lora, weight: 0.5 },
  ],
  eight: Array.from({ length: 8 }, (_, i) => ({ adapter: adapter({ seed: 20 + i }), weight: 0.1 * (i + 1) })),
};

describe("a blend", () => {
  it.each(Object.keys(BLENDS))("%s: gives the logits of the sum of its members' updates", async (name) => {
    const members = BLENDS[name]!;
    const expected = await referenceLogits(checkpoint, SIZES, IDS, updateBy(members));
    const got = await test.score(IDS, { adapter: test.blend(members) });
    expectAllclose(got, expected, { rtolOfMax: 2e-5 });
    const bare = await test.score(IDS);
    expect(maxAbsDifference(got, bare) / maxAbs(bare)).toBeGreaterThan(0.05);
  });

  it("of nothing is the base, bit for bit", async () => {
    expect(await test.score(IDS, { adapter: test.blend([]) })).toEqual(await test.score(IDS));
  });

  it("costs Mo-SARA's own ports alone where the members share v", () => {
    const shared = test.blend(BLENDS["two that share v"]!);
    expect([shared.lowRank, shared.terms, shared.bytes]).toEqual([null, [], test.ready(one).bytes]);
  });

  it("of eight Mo-SARA adapters is as large as the eight", () => {
    expect(test.blend(BLENDS.eight!).bytes).toBe(8 * test.ready(one).bytes);
  });
});

describe("a blend that no row can hold", () => {
  const layOut = (members: readonly BlendMember[], maxLiveRank: number) =>
    layOutBlend("blend", members, base.layout, maxLiveRank);

  it("is refused where ranks add up to more than --max-live-rank, and names the flag", () => {
    const members = [lora, lora2].map((member) => ({ adapter: member, weight: 0.5 }));
    expect(layOut(members, 13)).toMatchObject({ generation: "blend" });
    expect(() => layOut(members, 12)).toThrow(/4 \+ 9 = 13 on layers\.0\..*at most 12 are live \(--max-live-rank\)/);
  });

  it("is refused where a weight takes numbers out of float32's range", () => {
    for (const adapter of [lora, one, heads])
      expect(() => layOut([{ adapter, weight: 1e39 }], 64)).toThrow(/range of float32/);
  });
});
