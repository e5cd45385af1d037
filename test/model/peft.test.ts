/**
 * PEFT adapters against peft itself, on every fixture that has some: live, merged, there and back, and the refused
 * ones.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Adapter } from "../../src/adapter/adapter.ts";
import { adapterFromPeft, peftConfig, peftTensors } from "../../src/adapter/peft.ts";
import { type Base, openBase } from "../../src/base/base.ts";
import { writeMergedBase } from "../../src/base/merge/merged-base.ts";
import { AppError } from "../../src/errors.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { peftNames } from "../../src/model/peft-names.ts";
import { readPeftFiles } from "../../src/store/directory/directory-files.ts";
import type { HostTensor } from "../../src/tensor/host-tensor.ts";
import { adapterFor } from "../helpers/models/base-adapters.ts";
import { expectAllclose, maxAbsDifference } from "../helpers/allclose.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { casesIn, modelCases, readJson } from "../helpers/fixtures.ts";
import { type TestRunner, logprobsOf, openTestRunner } from "../helpers/engine/runner.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-peft-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const inFolder = (folder: string, marker: string) =>
  modelCases().flatMap(({ name, dir }) =>
    existsSync(join(dir, folder))
      ? casesIn(join(dir, folder), marker).map((one) => ({
          name: `${name}/${one}`,
          model: dir,
          dir: join(dir, folder, one),
        }))
      : [],
  );
const working = inFolder("adapters", "expected.json");
const refused = inFolder("refused", "why.txt");

async function read(base: Base, dir: string): Promise<Adapter> {
  const files = await readPeftFiles(dir, dir, 2 ** 26);
  return adapterFromPeft(files, base.signature, peftNames(base.manifest.config));
}

async function expectPeftsAnswers(test: TestRunner, dir: string, adapter: Adapter | null): Promise<void> {
  const row = adapter && test.ready(adapter);
  await using expected = await openSafetensors(join(dir, "expected.safetensors"));
  for (const prefix of ["", "long_"]) {
    const ids = await expected.read(`${prefix}input_ids`);
    const logprobs = (await expected.read(`${prefix}logprobs`)).data as Float32Array;
    const [numRows, length] = ids.shape as [number, number];
    for (let at = 0; at < numRows; at++) {
      const prompt = Array.from(ids.data.slice(at * length, (at + 1) * length), Number);
      const got = logprobsOf(await test.score(prompt, { adapter: row }), prompt, test.runner.vocabSize);
      expectAllclose(got, logprobs.subarray(at * (length - 1), (at + 1) * (length - 1)), { atol: 1e-4 }, `row ${at}`);
    }
  }
  const { greedy } = readJson<{ greedy: { prompt_ids: number[]; greedy_ids: number[] }[] }>(dir, "expected.json");
  for (const { prompt_ids, greedy_ids } of greedy)
    expect(await test.greedy(prompt_ids, greedy_ids.length, row)).toEqual(greedy_ids);
}

describe.each(working)("$name", ({ name, model, dir }) => {
  it("answers as peft does, live", async () => {
    const baseDir = await builtBase(model);
    await using base = await openBase(baseDir);
    await using test = await openTestRunner(baseDir);
    await expectPeftsAnswers(test, dir, await read(base, dir));
  });

  it("answers as peft does, merged", async () => {
    await using base = await openBase(await builtBase(model));
    const out = join(scratch, name.replaceAll("/", "-"));
    await writeMergedBase(base, await read(base, dir), "0".repeat(64), out, 2);
    await using merged = await openTestRunner(out);
    await expectPeftsAnswers(merged, dir, null);
  });

  it("is the same there and back", async () => {
    await using base = await openBase(await builtBase(model));
    const adapter = await read(base, dir);
    expect(await thereAndBack(base, adapter)).toEqual({ ...adapter, card: expect.anything() });
  });
});

/** Written as a PEFT directory and read again. */
async function thereAndBack(base: Base, adapter: Adapter): Promise<Adapter> {
  const names = peftNames(base.manifest.config);
  const tensors = new Map<string, HostTensor>();
  for (const target of adapter.targets) {
    const basis = adapter.method === "mo-sara" ? await basisOf(base, target.name) : null;
    for (const [name, tensor] of peftTensors(adapter, target, basis, names)) tensors.set(name, tensor);
  }
  const path = join(mkdtempSync(join(scratch, "back-")), "adapter_model.safetensors");
  const specs = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  await writeSafetensors(path, specs, async (name) => tensors.get(name)!); // asked for what it was told of
  const config = new TextEncoder().encode(JSON.stringify(peftConfig(adapter, names)));
  return adapterFromPeft({ config, tensors: readFileSync(path) }, base.signature, names);
}

async function basisOf(base: Base, target: string) {
  const { left, right, sigma } = await base.readBasis(target);
  return { left: left.data as Float32Array, right: right.data as Float32Array, k: sigma.shape[0] ?? 0 };
}

describe.each(modelCases())("an exported adapter of $name", ({ dir }) => {
  let base: Base;
  let test: TestRunner;
  beforeAll(async () => {
    const baseDir = await builtBase(dir, { targets: "all-linear" });
    base = await openBase(baseDir);
    test = await openTestRunner(baseDir);
  });
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
    await base[Symbol.asyncDispose]();
  });

  it.each(["mo-sara", "sara", "lora"] as const)("of method %s is a LoRA that answers alike", async (method) => {
    const adapter = adapterFor(base.manifest, { method, seed: 7 });
    const back = await thereAndBack(base, adapter);
    expect(back.targets.map(({ name }) => name)).toEqual(adapter.targets.map(({ name }) => name));
    const ids = [5, 17, 33, 20, 60, 44, 91, 12];
    const expected = await test.score(ids, { adapter: test.ready(adapter) });
    expectAllclose(await test.score(ids, { adapter: test.ready(back) }), expected, { rtolOfMax: 5e-5 });
    expect(maxAbsDifference(expected, await test.score(ids))).toBeGreaterThan(0.01);
  });

  it("is refused where it has several heads", async () => {
    const adapter = adapterFor(base.manifest, { heads: 2, seed: 7 });
    await expect(thereAndBack(base, adapter)).rejects.toMatchObject({ code: "not_mergeable" });
  });
});

/** Words of why.txt that the message has to share; a reason of another kind must not pass. */
const SUBJECTS: readonly [RegExp, RegExp][] = [
  [/dora/i, /dora/i],
  [/modules_to_save/, /modules_to_save/],
  [/hidden size/, /×/],
  [/module/, /not a linear layer|lora_A and no lora_B/],
  [/layer 7/, /not a linear layer/],
  [/pickle/, /pickle/],
  [/ends in the middle/, /outside the|ends|bytes/],
  [/NaN/, /NaN/],
  [/no lora_B/, /no lora_B/],
  [/rank/, /rank/],
  [/bias is/, /a bias/],
];

describe.each(refused)("refused: $name", ({ model, dir }) => {
  it("is refused for its reason", async () => {
    await using base = await openBase(await builtBase(model));
    const why = readFileSync(join(dir, "why.txt"), "utf8");
    const error = await read(base, dir).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toMatch(/^adapter_(invalid|incompatible)$/);
    const wanted = SUBJECTS.filter(([subject]) => subject.test(why)).map(([, message]) => message);
    const { message } = error as AppError;
    if (wanted.length > 0) return expect(wanted.some((one) => one.test(message))).toBe(true);
    // A reason that the table does not know: the message has to share a name or a telling word with it.
    const words = why.match(/[\w.]*[_\d][\w.]*|[a-z]{5,}/gi) ?? [];
    expect(words.filter((word) => message.toLowerCase().includes(word.toLowerCase()))).not.toEqual([]);
  });
});

it("finds adapters of both kinds", () => {
  if (process.env.MOSARA_FIXTURES) return; // another folder need not have any
  expect(working.length).toBeGreaterThan(0);
  expect(refused.length).toBeGreaterThan(0);
});
