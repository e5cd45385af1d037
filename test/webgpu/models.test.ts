/** The models on a device: the CPU's answers, for rows of different length and with different adapters in one batch. */
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Adapter } from "../../src/adapter/adapter.ts";
import type { AdapterRow } from "../../src/engine/adapter-row.ts";
import { maxAbsDifference } from "../helpers/allclose.ts";
import { adapterFor } from "../helpers/base-adapters.ts";
import { builtBase } from "../helpers/bases.ts";
import { modelCases, readJson } from "../helpers/fixtures.ts";
import { freshId, logprobsOf, openTestRunner, type TestRunner } from "../helpers/runner.ts";
import { describeOnWebgpu } from "../helpers/webgpu.ts";

/** Families with the layers that most models have, and the shipped base. */
const FAMILIES = ["llama", "mistral", "qwen2"];
const cases = modelCases().filter(({ dir }) =>
  FAMILIES.includes(readJson<{ model_type: string }>(dir, "config.json").model_type),
);
const DEMO = join(import.meta.dirname, "../../models/demo");
const bases = [
  { name: "demo", open: async () => DEMO },
  ...cases.map(({ name, dir }) => ({ name, open: () => builtBase(dir, { targets: "all-linear" }) })),
];

const PROMPTS = [
  [5, 17, 33, 2, 60, 44, 91, 12, 7, 150],
  Array.from({ length: 70 }, (_, i) => (i * 37) % 150),
  [3],
  Array.from({ length: 33 }, (_, i) => (i * 11 + 5) % 150),
  [9, 8, 7, 6, 5],
];

const KINDS = [
  { method: "mo-sara", seed: 1 },
  { method: "mo-sara", heads: 3, router: "full", seed: 2 },
  { method: "sara", rank: 5, seed: 3 },
  { method: "lora", rank: 8, seed: 4 },
] as const;

/** `steps` decode steps of all prompts together, each row with its own adapter: the logits of every step and row. */
async function decoded(
  test: TestRunner,
  prompts: readonly (readonly number[])[],
  adapters: readonly (AdapterRow | null)[],
  steps = 2,
): Promise<Float32Array[][]> {
  const { runner } = test;
  const V = runner.vocabSize;
  const rows = prompts.map((prompt, i) => ({ id: freshId(), prompt, adapter: adapters[i] ?? null }));
  for (const { id, prompt, adapter } of rows) {
    runner.kv.admit(id, prompt.length + steps);
    for (let past = 0; past < prompt.length; past += 64) {
      const tokenIds = Int32Array.from(prompt.slice(past, past + 64));
      await runner.prefill({ id, past, tokenIds, adapter, logitPositions: [] });
    }
    runner.kv.startDecoding(id);
  }
  const all: Float32Array[][] = [];
  for (let step = 0; step < steps; step++) {
    const found = await runner.decode(
      rows.map(({ id, prompt, adapter }, i) => ({ id, tokenId: 20 + i + step, past: prompt.length + step, adapter })),
    );
    const logits = await found.all();
    all.push(rows.map((_, row) => logits.slice(row * V, (row + 1) * V)));
  }
  for (const { id } of rows) runner.kv.release(id);
  return all;
}

function logSoftmax(logits: Float32Array): Float64Array {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, value) => total + Math.exp(value - top), 0);
  return Float64Array.from(logits, (value) => value - top - Math.log(sum));
}

/** Greatest difference of log-probabilities. */
const difference = (a: Float32Array, b: Float32Array): number =>
  maxAbsDifference(Float32Array.from(logSoftmax(a)), Float32Array.from(logSoftmax(b)));

describeOnWebgpu.each(bases)("$name on a device", ({ open }) => {
  it("gives the CPU's answers, alone, and with adapters of every kind in one batch", { timeout: 300_000 }, async () => {
    const dir = await open();
    await using cpu = await openTestRunner(dir);
    await using device = await openTestRunner(dir, "webgpu");
    expect(device.device.facts).toMatchObject({ name: "webgpu", precision: "float32", isCacheResident: true });
    const prompt = PROMPTS[1]!; // two chunks
    const V = cpu.runner.vocabSize;
    const [wanted, got] = [await cpu.score(prompt), await device.score(prompt)].map((logits) =>
      Float32Array.from(logprobsOf(logits, prompt, V)),
    ) as [Float32Array, Float32Array];
    expect(maxAbsDifference(got, wanted)).toBeLessThan(2e-3);
    expect(await device.greedy(PROMPTS[0]!, 12)).toEqual(await cpu.greedy(PROMPTS[0]!, 12));

    const adapters: Adapter[] = KINDS.map((kind) => adapterFor(cpu.manifest, kind));
    const rowsOf = (test: TestRunner): AdapterRow[] =>
      adapters.map((adapter, i) => test.ready(adapter, `generation-${i}`));
    const onCpu = await decoded(cpu, PROMPTS, rowsOf(cpu));
    const onDevice = await decoded(device, PROMPTS, rowsOf(device));
    let greatest = 0;
    onCpu.forEach((rows, step) =>
      rows.forEach((row, i) => (greatest = Math.max(greatest, difference(onDevice[step]![i]!, row)))),
    );
    expect(greatest).toBeLessThan(2e-3);
  });
});
