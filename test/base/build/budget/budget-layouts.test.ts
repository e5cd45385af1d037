/** Bases with a budget of bits: the budget is kept to the byte, and spent better than a uniform kind spends it. */
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Comparison } from "../../../../scripts/agreement/metrics.ts";
import { SERVE_GRAPH_FILE, SERVE_WEIGHTS_FILE, WEIGHTS_FILE } from "../../../../src/base/base.ts";
import { readManifest } from "../../../../src/base/manifest.ts";
import { decodeModel } from "../../../../src/formats/onnx-proto.ts";
import { externalTensors } from "../../../../src/graph/serialize.ts";
import { openSafetensors } from "../../../../src/formats/safetensors.ts";
import { groupOfPart } from "../../../../src/model/weights.ts";
import { readTextFiles } from "../../../../src/tokenizer/files/text-files.ts";
import { makeTokenizer } from "../../../../src/tokenizer/tokenizer.ts";
import { numElements } from "../../../../src/tensor/host-tensor.ts";
import { builtBase } from "../../../helpers/models/bases.ts";
import { GGUF_GOLDEN } from "../../../helpers/fixtures.ts";
import { quantizedGguf } from "../../../helpers/models/gguf-blocks.ts";
import { openTestRunner } from "../../../helpers/engine/runner.ts";

const folder = mkdtempSync(join(tmpdir(), "mosara-budget-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The shipped demo as a checkpoint. */
function demoCheckpoint(): string {
  const dir = join(folder, "demo");
  for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json"])
    cpSync(join("models", "demo", name), join(dir, name));
  cpSync(join("models", "demo", "weights.safetensors"), join(dir, "model.safetensors"));
  return dir;
}

const demo = demoCheckpoint();
const build = (path: string, weights: "float32" | "int4" | "int8" | `auto:${number}`): Promise<string> =>
  builtBase(path, { targets: "none", weights });

/** Bytes of all quantised matrices in a serving graph. */
function matrixBytesOf(base: string): number {
  const places = externalTensors(decodeModel(readFileSync(join(base, SERVE_GRAPH_FILE))));
  return [...places].reduce((sum, [name, { length }]) => sum + (groupOfPart(name) === null ? 0 : length), 0);
}

/** Weights of all matrices in a base. */
async function numWeightsOf(base: string): Promise<number> {
  await using file = await openSafetensors(join(base, WEIGHTS_FILE));
  const matrices = [...file.tensors.values()].filter(({ shape }) => shape.length === 2);
  return matrices.reduce((sum, { shape }) => sum + numElements(shape), 0);
}

const TEXTS = [
  "Hi, the new address for my brown camera from order 37702 is 75 Kasota Street.",
  "I am Belta. Please cancel my order 7305. When will I get my money back?",
  "Very well, Belta. I have cancelled order 7305. You do not have to pay. Your butler",
];

/** Mean KL of a base's answers from those of the float32 base, on texts that the build has not seen. */
async function divergenceOf(path: string, base: string): Promise<number> {
  const exact = await build(path, "float32");
  const tokenizer = makeTokenizer((await readTextFiles(exact)).tokenizer, exact);
  const comparison = new Comparison();
  await using wanted = await openTestRunner(exact);
  await using got = await openTestRunner(base);
  const { vocabSize, maxPositions } = wanted.manifest.config;
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text).slice(0, maxPositions);
    comparison.add(await got.score(ids), await wanted.score(ids), vocabSize);
  }
  return comparison.distance.kl;
}

describe("a base of the demo with a budget of bits", () => {
  it("has at most so many bits for each weight, counted in its files", async () => {
    const bits = 5.2;
    const base = await build(demo, `auto:${bits}`);
    const { budget, weights } = await readManifest(base);
    const maxBytes = Math.floor((bits * (await numWeightsOf(base))) / 8);
    expect(weights).toBe("mixed");
    expect(budget).toMatchObject({ bits, maxBytes, bytes: matrixBytesOf(base) });
    expect(budget?.bytes).toBeLessThanOrEqual(maxBytes);
    expect(budget?.bytes).toBeGreaterThan(0.99 * maxBytes);
  });

  it("of int4's size loses less than half of what int4 loses", async () => {
    const uniform = await build(demo, "int4");
    const bits = (8 * matrixBytesOf(uniform)) / (await numWeightsOf(uniform));
    const base = await build(demo, `auto:${bits}`);
    expect(matrixBytesOf(base)).toBeLessThanOrEqual(matrixBytesOf(uniform));
    expect(await divergenceOf(demo, base)).toBeLessThan(0.5 * (await divergenceOf(demo, uniform)));
  });

  it("is the same in every build, with any number of threads", async () => {
    const again = await builtBase(demo, { targets: "none", weights: "auto:5.2", numThreads: 1 });
    const first = await build(demo, "auto:5.2");
    expect((await readManifest(again)).layouts).toEqual((await readManifest(first)).layouts);
    const [one, other] = [first, again].map((dir) => readFileSync(join(dir, SERVE_WEIGHTS_FILE)));
    expect(one?.equals(other!)).toBe(true); // there are two
  });
});

describe("a checkpoint that was quantised before", () => {
  it("keeps the numbers of its file where the budget allows it", async () => {
    const path = quantizedGguf(folder);
    const base = await build(path, "auto:9");
    const { originals, budget } = await readManifest(base);
    expect(Object.values(originals)).toContain("served");
    expect(budget?.bytes).toBe(matrixBytesOf(base));
    expect(await divergenceOf(path, base)).toBeLessThanOrEqual(
      1.05 * (await divergenceOf(path, await build(path, "int8"))),
    );
  });

  it("keeps to the budget", async () => {
    const path = join(GGUF_GOLDEN, "families", "qwen2", "model.gguf");
    const base = await build(path, "auto:6");
    const { budget } = await readManifest(base);
    expect(budget?.bytes).toBe(matrixBytesOf(base));
    expect(budget?.bytes).toBeLessThanOrEqual(budget?.maxBytes ?? 0);
  });
});

describe("a budget that cannot be met", () => {
  it("names the bytes and the least bits that the model needs", async () => {
    await expect(build(demo, "auto:4.2")).rejects.toThrow(
      "--weights auto:4.2 allows 1737523 bytes for 3309568 weights, but this model needs at least 1861632. Use --weights auto:4.5 or more.",
    );
  });

  it("needs a tokenizer", async () => {
    const dir = join(folder, "without-text");
    cpSync(demo, dir, { recursive: true });
    rmSync(join(dir, "tokenizer.json"));
    await expect(build(dir, "auto:5")).rejects.toThrow(/has no tokenizer\.json\. Add the tokenizer/);
  });
});
