/**
 * Models of every family on a device: the CPU's answers, for rows of different length and with different adapters in
 * one batch, and the same ones alone and in a batch. Compiling the programs of one model takes a device without a card
 * many seconds. A model therefore runs only if its graph has a kind of operator that no model before it had. A part of
 * on-device.test.ts.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SERVE_GRAPH_FILE } from "../../../src/base/base.ts";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { decodeModel, type OnnxNode } from "../../../src/formats/onnx-proto.ts";
import { maxAbs, maxAbsDifference } from "../../helpers/allclose.ts";
import { ADAPTER_KINDS, adapterFor } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { modelCases } from "../../helpers/fixtures.ts";
import { freshId, logprobsOf, openTestRunner, type TestRunner } from "../../helpers/engine/runner.ts";
import { describeOnWebgpu } from "../../helpers/engine/webgpu.ts";

/** `../http.test.ts` serves the shipped base. */
const bases = modelCases().map(({ name, dir }) => ({ name, open: () => builtBase(dir, { targets: "all-linear" }) }));

/** Of one and of two chunks, of different and of equal lengths. */
const PROMPTS = [
  [5, 17, 33, 2, 60, 44],
  Array.from({ length: 70 }, (_, i) => (i * 37) % 150), // chunks of 64 and 6
  [3],
  Array.from({ length: 70 }, (_, i) => (i * 11 + 5) % 150),
  [9, 8, 7, 6, 5, 4],
];

/** All rows: which prompt, and which adapter, a row has. */
const ALL = PROMPTS.map((_, i) => i);

/** `steps` decode steps of these rows together, each with its own adapter: the logits of every step and row. */
async function decoded(
  test: TestRunner,
  which: readonly number[],
  adapters: readonly (AdapterRow | null)[],
  steps = 1,
): Promise<Float32Array[][]> {
  const { runner } = test;
  const V = runner.vocabSize;
  const rows = which.map((i) => ({ i, id: freshId(), prompt: PROMPTS[i]!, adapter: adapters[i] ?? null }));
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
      rows.map(({ i, id, prompt, adapter }) => ({ id, tokenId: 20 + i + step, past: prompt.length + step, adapter })),
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

/** An operator with its options. A size says no more than its sign: a window of 16 positions is a window of 12. */
const kindOf = ({ opType, domain, attribute, input }: OnnxNode): string =>
  [domain, opType, input.length, ...attribute.map(({ name, i }) => `${name}=${Math.sign(Number(i ?? 0))}`)].join(" ");

async function kindsOf(baseDir: string): Promise<Set<string>> {
  const { node } = decodeModel(await readFile(join(baseDir, SERVE_GRAPH_FILE))).graph;
  return new Set(node.map(kindOf));
}

const seen = new Set<string>();
/** Whether a base has what no base before it had. A test that runs once more asks once more, hence the memory. */
const isNew = new Map<string, boolean>();

async function hasNewOperators(baseDir: string): Promise<boolean> {
  const known = isNew.get(baseDir);
  if (known !== undefined) return known;
  const fresh = [...(await kindsOf(baseDir))].filter((one) => !seen.has(one));
  for (const one of fresh) seen.add(one);
  isNew.set(baseDir, fresh.length > 0);
  return fresh.length > 0;
}

/** Rows that are run again by themselves: one of two chunks with routed heads. */
const ALONE = [1];

export function describeModels(): void {
  describeOnWebgpu.each(bases)("$name on a device", ({ name, open }) => {
    it(
      "gives the CPU's answers, alone and in a batch, where kinds of operators are new",
      { timeout: 900_000 },
      async ({ skip }) => {
        const dir = await open();
        skip(!(await hasNewOperators(dir)), "every kind of operator of this model has run");
        await using cpu = await openTestRunner(dir);
        await using device = await openTestRunner(dir, "webgpu");
        const { facts } = device.device;
        expect(facts).toMatchObject({ name: "webgpu", precision: "float32", isCacheResident: true });
        const prompt = PROMPTS[1]!; // two chunks
        const V = cpu.runner.vocabSize;
        const [wanted, got] = [await cpu.score(prompt), await device.score(prompt)].map((logits) =>
          Float32Array.from(logprobsOf(logits, prompt, V)),
        ) as [Float32Array, Float32Array];
        expect(maxAbsDifference(got, wanted)).toBeLessThan(2e-3);
        expect(await device.greedy(PROMPTS[0]!, 4)).toEqual(await cpu.greedy(PROMPTS[0]!, 4));

        const adapters: Adapter[] = ADAPTER_KINDS.map((kind) => adapterFor(cpu.manifest, kind));
        const rowsOf = (test: TestRunner): AdapterRow[] =>
          adapters.map((adapter, i) => test.ready(adapter, `generation-${i}`));
        const onCpu = await decoded(cpu, ALL, rowsOf(cpu));
        const readyRows = rowsOf(device);
        const onDevice = await decoded(device, ALL, readyRows);
        let greatest = 0;
        onCpu.forEach((rows, step) =>
          rows.forEach((row, i) => (greatest = Math.max(greatest, difference(onDevice[step]![i]!, row)))),
        );
        expect(greatest).toBeLessThan(2e-3);

        // The law: what a row gets does not depend on its company. Bits are the device's affair, values are not.
        let law = 0;
        for (const row of ALONE) {
          const alone = await decoded(device, [row], readyRows);
          alone.forEach(([logits], step) => {
            const inCompany = onDevice[step]![row]!;
            law = Math.max(law, maxAbsDifference(logits!, inCompany) / maxAbs(inCompany));
          });
        }
        expect(law).toBeLessThan(1e-5);
        // For a reader of the log.
        console.log(
          `${name}: attention ${facts.attention}; log-probabilities within ${greatest.toExponential(1)} of the CPU's; alone and in a batch ${law === 0 ? "the same bits" : `within ${law.toExponential(1)} of the largest logit`}`,
        );
      },
    );
  });
}
