/** Models as our own decoder reads them back, and as ONNX Runtime runs them. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EXTERNAL_DATA_LOCATION, decodeModel } from "../../src/formats/onnx-proto.ts";
import { Graph, type Var } from "../../src/graph/graph.ts";
import { ifElse } from "../../src/graph/ops/control.ts";
import { add, exp, mul } from "../../src/graph/ops/elementwise.ts";
import { linear } from "../../src/graph/ops/linear.ts";
import { externalTensors, serializeGraph, writeGraph } from "../../src/graph/serialize.ts";
import { openSession, runtimeTensor } from "../../src/runtime/ort.ts";
import { type HostTensor, bytesOf, hostTensor } from "../../src/tensor/host-tensor.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-graphs-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const SESSION = { device: "cpu", numThreads: 1 } as const;
const floats = (...values: number[]): Float32Array => Float32Array.from(values);
const W = hostTensor("float32", [2, 3], floats(1, 2, 3, 4, 5, 6));
const BIAS = hostTensor("float32", [2], floats(10, 20));

async function runOn(model: string | Uint8Array, isOn: boolean): Promise<number[]> {
  await using session = await openSession(model, SESSION);
  const x = runtimeTensor("float32", floats(1, 0, -1, 2, 2, 2), [2, 3]);
  const { y } = await session.run({ x, is_on: runtimeTensor("bool", Uint8Array.of(isOn ? 1 : 0), []) }, ["y"]);
  return Array.from(y!.data as Float32Array); // fetched by this name
}

/** y = x·Wᵀ + b, plus 1 where `is_on`. */
function graphOver(weightsOf: (graph: Graph) => { weight: Var; bias: Var }): Graph {
  const graph = new Graph("affine");
  const x = graph.input("x", "float32", ["M", 3]);
  const isOn = graph.input("is_on", "bool", []);
  const { weight, bias } = weightsOf(graph);
  const plain = linear(x, weight, bias);
  const y = ifElse(
    isOn,
    [plain],
    (value) => add(value!, value!.graph.constant("float32", [], [1])),
    (value) => value!,
  );
  graph.output(y, "y");
  return graph;
}

const inline = (graph: Graph): { weight: Var; bias: Var } => ({
  weight: graph.weight("w", "float32", [2, 3], { kind: "inline", tensor: W }),
  bias: graph.weight("b", "float32", [2], { kind: "inline", tensor: BIAS }),
});
const made = (tensor: HostTensor) => ({ kind: "made", make: async () => tensor }) as const;

describe("a serialised graph", () => {
  it("reads back with its names, types, shapes, attributes, branches and weights", () => {
    const { irVersion, graph, opsetImport } = decodeModel(serializeGraph(graphOver(inline)));
    expect({ irVersion, opsets: opsetImport }).toEqual({
      irVersion: 10,
      opsets: [
        expect.objectContaining({ version: 21 }),
        expect.objectContaining({ domain: "com.microsoft", version: 1 }),
      ],
    });
    expect(graph.input.map((one) => [one.name, one.type?.tensorType?.shape?.dim])).toEqual([
      ["x", [{ dimParam: "M" }, { dimValue: 3 }]],
      ["is_on", []],
    ]);
    expect(graph.output.map((one) => one.name)).toEqual(["y"]);
    expect(graph.node.map((node) => node.opType)).toEqual(["Gemm", "If"]);
    const gemm = graph.node[0]!; // two nodes, as just checked
    expect(gemm.attribute).toEqual([expect.objectContaining({ name: "transB", i: 1 })]);
    expect(gemm.docString).toMatch(/^serialize\.test\.ts:\d+$/);
    const branches = graph.node[1]!.attribute.map((attribute) => attribute.g!.node.map((node) => node.opType));
    expect(branches).toEqual([["Add"], ["Identity"]]);
    const weight = graph.initializer.find((tensor) => tensor.name === "w")!;
    expect(weight.dims).toEqual([2, 3]);
    expect(Buffer.from(weight.rawData!)).toEqual(Buffer.from(bytesOf(W)));
  });

  it("runs in ONNX Runtime, either branch", async () => {
    const model = serializeGraph(graphOver(inline));
    expect(await runOn(model, false)).toEqual([8, 18, 22, 50]);
    expect(await runOn(model, true)).toEqual([9, 19, 23, 51]);
  });
});

describe("a graph written with weights in files", () => {
  it("puts made weights into one aligned file, one after the other, and runs from there", async () => {
    const path = join(scratch, "made.onnx");
    const graph = graphOver((one) => ({
      weight: one.weight("w", "float32", [2, 3], made(W)),
      bias: one.weight("b", "float32", [2], made(BIAS)),
    }));
    const progress: number[] = [];
    const { weightBytes } = await writeGraph(graph, path, "made.weights", (bytes) => progress.push(bytes));
    const places = externalTensors(decodeModel(readFileSync(path)));
    expect(places.get("w")).toMatchObject({ location: "made.weights", offset: 0, length: 24 });
    expect(places.get("b")).toMatchObject({ location: "made.weights", offset: 64, length: 8 });
    expect(progress).toEqual([24, 72]);
    expect(weightBytes).toBe(statSync(join(scratch, "made.weights")).size);
    expect(await runOn(path, true)).toEqual([9, 19, 23, 51]);
  });

  it("refers to weights that lie in a file already, where they are", async () => {
    const file = Buffer.concat([Buffer.from("....header......"), bytesOf(W), bytesOf(BIAS)]);
    writeFileSync(join(scratch, "there.bin"), file);
    const path = join(scratch, "there.onnx");
    const at = (offset: number, length: number) => ({ kind: "file", location: "there.bin", offset, length }) as const;
    const graph = graphOver((one) => ({
      weight: one.weight("w", "float32", [2, 3], at(16, 24)),
      bias: one.weight("b", "float32", [2], at(40, 8)),
    }));
    await writeGraph(graph, path, "there.weights");
    const initializer = decodeModel(readFileSync(path)).graph.initializer.filter((one) => /^[wb]$/.test(one.name));
    expect(initializer.every((one) => one.dataLocation === EXTERNAL_DATA_LOCATION && !one.rawData?.length)).toBe(true);
    expect(await runOn(path, false)).toEqual([8, 18, 22, 50]);
  });

  it("refuses a made weight that is not what was announced", async () => {
    const graph = new Graph("wrong");
    const weight = graph.weight("w", "float32", [3, 2], made(BIAS));
    graph.output(exp(weight), "y");
    await expect(writeGraph(graph, join(scratch, "wrong.onnx"), "wrong.weights")).rejects.toThrow(
      /internal: w wanted 24/,
    );
  });
});

describe("a graph's names", () => {
  it("are unique in the whole model, branches included", () => {
    const { graph } = decodeModel(serializeGraph(graphOver(inline)));
    const names = graph.node.flatMap((node) => [
      ...node.output,
      ...node.attribute.flatMap((attribute) => attribute.g?.node.flatMap((inner) => inner.output) ?? []),
    ]);
    expect(new Set(names).size).toBe(names.length);
    const twice = new Graph("twice");
    twice.input("x", "float32", []);
    expect(() => twice.input("x", "float32", [])).toThrow("the name x is taken");
  });

  it("stay right where a value gets its public name after a branch has used it", async () => {
    const graph = new Graph("renamed");
    const x = graph.input("x", "float32", ["M", 3]);
    const isOn = graph.input("is_on", "bool", []);
    const doubled = add(x, x);
    const y = ifElse(
      isOn,
      [doubled],
      (value) => mul(value!, value!),
      (value) => value!,
    );
    graph.output(doubled, "doubled");
    graph.output(y, "y");
    expect(await runOn(serializeGraph(graph), true)).toEqual([4, 0, 4, 16, 16, 16]);
  });

  it("tell −0 from 0 among constants", () => {
    const graph = new Graph("zeros");
    const zero = graph.constant("float32", [], [0]);
    expect(graph.constant("float32", [], [0])).toBe(zero);
    expect(graph.constant("float32", [], [-0])).not.toBe(zero);
  });
});
