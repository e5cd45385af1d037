/** Sessions: memory that is used in place, and failures that come back as errors of ours. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Graph, type Var } from "../../src/graph/graph.ts";
import { ifElse } from "../../src/graph/ops/control.ts";
import { add, cast, mul } from "../../src/graph/ops/elementwise.ts";
import { gatherRows } from "../../src/graph/ops/shaping.ts";
import { serializeGraph } from "../../src/graph/serialize.ts";
import { type RuntimeTensor, hostTensorOf, openSession, runtimeTensor } from "../../src/runtime/ort.ts";

const CPU = { device: "cpu", numThreads: 1 } as const;
const floats = (...values: number[]): Float32Array => Float32Array.from(values);

const floatTensor = (...values: number[]): RuntimeTensor =>
  runtimeTensor("float32", floats(...values), [values.length]);

/** y = x · x, z = rows of x. */
function model(): Uint8Array {
  const graph = new Graph("squares");
  const x = graph.input("x", "float32", ["M", 2]);
  graph.output(mul(x, x), "y");
  graph.output(gatherRows(x, graph.input("rows", "int64", ["N"])), "z");
  return serializeGraph(graph);
}
const rows = (...indices: bigint[]) => runtimeTensor("int64", BigInt64Array.from(indices), [indices.length]);

describe("a session", () => {
  it("names its inputs and outputs, and gives results as host tensors", async () => {
    await using session = await openSession(model(), CPU);
    expect([session.inputNames, session.outputNames]).toEqual([
      ["x", "rows"],
      ["y", "z"],
    ]);
    const { y, z } = await session.run({ x: runtimeTensor("float32", floats(1, 2, 3, 4), [2, 2]), rows: rows(1n) }, [
      "y",
      "z",
    ]);
    expect(hostTensorOf(y!)).toEqual({ dtype: "float32", shape: [2, 2], data: floats(1, 4, 9, 16) }); // fetched by name
    expect(hostTensorOf(z!)).toEqual({ dtype: "float32", shape: [1, 2], data: floats(3, 4) }); // fetched by name
  });

  it("reads a fed array where it is and writes a fetched one where it is", async () => {
    await using session = await openSession(model(), CPU);
    const data = floats(1, 2);
    const x = runtimeTensor("float32", data, [1, 2]);
    const out = new Float32Array(8);
    const y = runtimeTensor("float32", out.subarray(2, 4), [1, 2]);
    await session.run({ x, rows: rows(0n) }, { y });
    data[0] = 5;
    await session.run({ x, rows: rows(0n) }, { y });
    expect(out).toEqual(floats(0, 0, 25, 4, 0, 0, 0, 0));
  });

  it("reports a failing node as an error and works on", async () => {
    await using session = await openSession(model(), CPU);
    const x = runtimeTensor("float32", floats(1, 2), [1, 2]);
    await expect(session.run({ x, rows: rows(7n) }, ["z"])).rejects.toThrow(/out of.*bounds/i);
    expect((await session.run({ x, rows: rows(0n) }, ["z"])).z?.data).toEqual(floats(1, 2));
  });

  it("needs the inputs of the branches that a run takes, and says which one is missing", async () => {
    const graph = new Graph("branches");
    const [x, y] = [graph.input("x", "float32", ["N"]), graph.input("y", "float32", ["N"])];
    const addsY = graph.input("adds_y", "bool", []);
    const branches = [(x2: Var, y2: Var) => add(x2, y2), (x2: Var) => mul(x2, x2)] as const;
    graph.output(ifElse(addsY, [x, y], ...branches), "z");
    await using session = await openSession(serializeGraph(graph), { ...CPU, branchInputs: ["y"] });
    const run = (chosen: number, feeds: Record<string, RuntimeTensor>) =>
      session.run({ x: floatTensor(3), adds_y: runtimeTensor("bool", Uint8Array.of(chosen), []), ...feeds }, ["z"]);
    expect(session.inputNames).toEqual(["x", "adds_y"]);
    expect((await run(0, {})).z?.data).toEqual(floats(9));
    expect((await run(1, { y: floatTensor(4) })).z?.data).toEqual(floats(7));
    await expect(run(1, {})).rejects.toThrow(/Missing Input: y/);
    await expect(session.run({ x: floatTensor(3) }, ["z"])).rejects.toThrow(/adds_y/);
  });

  // Where Node has a Float16Array, onnxruntime-common 1.30 expected one, and half-precision values were fed as an empty
  // tensor.
  it("takes and gives half precision as raw bits, and leaves the language's own arrays in place", async () => {
    const graph = new Graph("halves");
    const x = graph.input("x", "float16", ["N"]);
    graph.output(cast(x, "float32"), "single");
    graph.output(mul(x, x), "squares");
    await using session = await openSession(serializeGraph(graph), CPU);
    const bits = Uint16Array.of(0x3c00, 0xc000, 0x7bff); // 1, -2, 65504
    const { single, squares } = await session.run({ x: runtimeTensor("float16", bits, [3]) }, ["single", "squares"]);
    expect(single?.data).toEqual(floats(1, -2, 65504));
    expect(squares?.data).toEqual(Uint16Array.of(0x3c00, 0x4400, 0x7c00)); // 1, 4, infinity
    const major = Number(process.versions.node.split(".")[0]);
    if (major >= 24) expect(globalThis).toHaveProperty("Float16Array");
  });

  it("takes no type that the runtime has not", () => {
    expect(() => runtimeTensor("bfloat16", new Uint16Array(1), [1])).toThrow(/internal: bfloat16/);
  });
});

describe("a model that cannot be opened is base_invalid", () => {
  it("when its bytes are no model", async () => {
    await expect(openSession(Uint8Array.of(1, 2, 3), CPU)).rejects.toMatchObject({ code: "base_invalid" });
  });

  it("when its file is missing or damaged, named with the reason", async () => {
    const dir = mkdtempSync(join(tmpdir(), "mosara-ort-"));
    try {
      const path = join(dir, "serve.onnx");
      const refused = { code: "base_invalid", message: expect.stringContaining(path) };
      await expect(openSession(path, CPU)).rejects.toMatchObject(refused);
      writeFileSync(path, model().subarray(0, 40));
      await expect(openSession(path, CPU)).rejects.toMatchObject(refused);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
