/**
 * The walk: what it builds, what it leaves out, and what it refuses. Values are checked where a sum or a zero is at
 * stake.
 */
import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/backward.ts";
import { headCrossEntropy } from "../../src/autodiff/cross-entropy.ts";
import { Graph, GraphError, type Var } from "../../src/graph/graph.ts";
import { ifElse } from "../../src/graph/ops/control.ts";
import { add, cast, exp, mul, sigmoid, sub, tanh } from "../../src/graph/ops/elementwise.ts";
import { linear } from "../../src/graph/ops/linear.ts";
import { rmsNorm } from "../../src/graph/ops/norm.ts";
import { reduceMax, reduceMean, reduceSum } from "../../src/graph/ops/reduce.ts";
import { gatherRows, reshapeLike, split } from "../../src/graph/ops/shaping.ts";
import { printGraph } from "../../src/graph/print.ts";
import { hostTensor } from "../../src/tensor/host-tensor.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { runGraph } from "../helpers/run-graph.ts";

const total = (x: Var): Var => reduceSum(x, { axes: null, keepDims: false });
const float32 = (shape: readonly number[], values: readonly number[]) =>
  hostTensor("float32", shape, Float32Array.from(values));

function scene(...shapes: readonly (readonly (number | string)[])[]): { graph: Graph; values: Var[] } {
  const graph = new Graph("scene");
  return { graph, values: shapes.map((shape, i) => graph.input(`x${i}`, "float32", shape)) };
}

async function gradientValues(loss: Var, wrt: readonly Var[], feeds: Parameters<typeof runGraph>[1]) {
  const { graph } = loss;
  const names = gradients(loss, wrt).map((gradient, i) => {
    graph.output(gradient, `grad${i}`);
    return `grad${i}`;
  });
  const results = await runGraph(graph, feeds);
  return names.map((name) => results[name]!.data as Float32Array);
}

describe("what is built", () => {
  it("is an ordinary graph: a linear layer with a trained weight and a frozen input", () => {
    const graph = new Graph("linear");
    const x = graph.input("x", "float32", ["M", 3]);
    const weight = graph.input("weight", "float32", [2, 3]);
    const bias = graph.input("bias", "float32", [2]);
    const loss = total(sigmoid(linear(x, weight, bias)));
    const [dWeight, dBias] = gradients(loss, [weight, bias]);
    graph.output(loss, "loss");
    graph.output(dWeight!, "grad.weight");
    graph.output(dBias!, "grad.bias");
    expect(printGraph(graph)).toMatchInlineSnapshot(`
      "graph linear
        input x: float32[M,3]
        input weight: float32[2,3]
        input bias: float32[2]
        weight const_6: float32[] = [1]
        weight const_13: int64[1] = [0]
        gemm_3: float32[M,2] = Gemm(x, weight, bias) {transB=1}
        sigmoid_4: float32[M,2] = Sigmoid(gemm_3)
        loss: float32[] = ReduceSum(sigmoid_4) {keepdims=0}
        shape_7: int64[2] = Shape(sigmoid_4)
        expand_8: float32[M,2] = Expand(const_6, shape_7)
        sub_9: float32[M,2] = Sub(const_6, sigmoid_4)
        mul_10: float32[M,2] = Mul(sigmoid_4, sub_9)
        mul_11: float32[M,2] = Mul(expand_8, mul_10)
        grad.weight: float32[2,3] = Gemm(mul_11, x) {transA=1}
        grad.bias: float32[2] = ReduceSum(mul_11, const_13) {keepdims=0}
        return loss, grad.weight, grad.bias"
    `);
  });

  it("does nothing for what is frozen: neither its gradient nor that of anything before it", () => {
    const countFor = (frozen: boolean): number => {
      const { graph, values } = scene([4, 8], [8, 8], [8, 8]);
      const [x, first, second] = values as [Var, Var, Var];
      const hidden = tanh(linear(x, first));
      const loss = total(linear(hidden, second));
      const before = graph.nodes.length;
      gradients(loss, frozen ? [second] : [first, second]);
      return graph.nodes.length - before;
    };
    // Expand and one product, against the product through the second layer, tanh's three and the first product besides.
    expect(countFor(true)).toBe(2);
    expect(countFor(false)).toBe(2 + 1 + 3 + 1);
  });

  it("asks a norm for its inverse deviation once, and only when it is differentiated", () => {
    const { graph, values } = scene(["M", 8], [8]);
    const [x, weight] = values as [Var, Var];
    const y = rmsNorm(x, weight, 1e-5);
    expect(y.producer!.outputs).toHaveLength(1);
    gradients(total(y), [x, weight]);
    expect(y.producer!.outputs.map(({ shape }) => shape)).toEqual([
      ["M", 8],
      ["M", 1],
    ]);
    expect(graph.nodes.filter(({ op }) => op === "SimplifiedLayerNormalization")).toHaveLength(1);
  });

  it("goes from a composite to its operands and never inside", () => {
    const { graph, values } = scene(["N", 4], [16, 4]);
    const [x, head] = values as [Var, Var];
    const { losses } = headCrossEntropy(x, head, graph.input("labels", "int64", ["N"]), {
      trainsHead: false,
      softCap: 0,
    });
    const before = graph.nodes.length;
    gradients(total(losses), [x]);
    const ops = graph.nodes.slice(before).map(({ op }) => op);
    expect(ops.filter((op) => op === "Gemm")).toHaveLength(1);
    expect(ops).not.toContain("Log");
    expect(ops).not.toContain("ScatterElements");
  });
});

describe("what is added up", () => {
  it("every use of a value: x·x + x·y + eˣ, and x alone", async () => {
    const { values } = scene([2], [2]);
    const [x, y] = values as [Var, Var];
    const loss = total(add(add(mul(x, x), mul(x, y)), add(exp(x), x)));
    const [dx, dy] = await gradientValues(loss, [x, y], { x0: float32([2], [0.5, -1]), x1: float32([2], [2, 3]) });
    expectAllclose(
      dx!,
      [0.5, -1].map((v, i) => 2 * v + [2, 3][i]! + Math.exp(v) + 1),
      { atol: 1e-6 },
    );
    expectAllclose(dy!, [0.5, -1], { atol: 0 });
  });

  it("a parameter that two layers share", async () => {
    const { values } = scene([1, 2], [2, 2]);
    const [x, weight] = values as [Var, Var];
    const loss = total(linear(linear(x, weight), weight));
    const [dWeight] = await gradientValues(loss, [weight], {
      x0: float32([1, 2], [1, 2]),
      x1: float32([2, 2], [1, 2, 3, 4]),
    });
    // y = xWᵀ = [5,11]; loss = Σ yWᵀ: dW = 1 yᵀ + (Wᵀ1) xᵀ with Wᵀ1 = [4,6]
    expectAllclose(dWeight!, [5 + 4, 11 + 8, 5 + 6, 11 + 12], { atol: 0 });
  });

  it("what broadcasting repeated, on either side and in every dimension", async () => {
    const { values } = scene([3], [2, 1], []);
    const [row, column, scalar] = values as [Var, Var, Var];
    const loss = total(sub(mul(row, column), scalar));
    const feeds = { x0: float32([3], [1, 2, 3]), x1: float32([2, 1], [10, 20]), x2: float32([], [5]) };
    const [dRow, dColumn, dScalar] = await gradientValues(loss, [row, column, scalar], feeds);
    expectAllclose(dRow!, [30, 30, 30], { atol: 0 });
    expectAllclose(dColumn!, [6, 6], { atol: 0 });
    expectAllclose(dScalar!, [-6], { atol: 0 });
  });

  it("rows that were read more than once, with several threads and thousands of duplicates", async () => {
    const { graph, values } = scene([7, 64]);
    const ids = graph.input("ids", "int64", ["M"]);
    const loss = total(gatherRows(values[0]!, ids));
    const [gradient] = gradients(loss, values);
    graph.output(gradient!, "grad");
    const count = 4096;
    const feeds = {
      x0: float32(
        [7, 64],
        Array.from({ length: 7 * 64 }, () => 0),
      ),
      ids: hostTensor(
        "int64",
        [count],
        BigInt64Array.from({ length: count }, (_, i) => BigInt((i * i) % 7)),
      ),
    };
    const results = await runGraph(graph, feeds, 2);
    const times = Array.from(
      { length: 7 },
      (_, row) => Array.from({ length: count }, (__, i) => i).filter((i) => (i * i) % 7 === row).length,
    );
    expectAllclose(
      results.grad!.data as Float32Array,
      times.flatMap((n) => Array.from({ length: 64 }, () => n)),
      { atol: 0 },
    );
  });

  it("named dimensions, which only the run knows", async () => {
    const { graph, values } = scene(["B*T", 4], [4]);
    const [x, scale] = values as [Var, Var];
    const ids = graph.input("ids", "int64", ["B", "T"]);
    const y = reduceMean(mul(reshapeLike(mul(x, scale), ids, [4]), scale), { axes: [1], keepDims: false });
    const loss = total(mul(y, y));
    const feeds = {
      x0: float32(
        [6, 4],
        Array.from({ length: 24 }, (_, i) => i),
      ),
      x1: float32([4], [1, 1, 1, 1]),
      ids: hostTensor("int64", [2, 3], new BigInt64Array(6)),
    };
    const [dx] = await gradientValues(loss, [x], feeds);
    const means = Array.from(
      { length: 8 },
      (_, i) => [0, 1, 2].reduce((sum, t) => sum + (Math.floor(i / 4) * 12 + t * 4 + (i % 4)), 0) / 3,
    );
    const expected = Array.from({ length: 24 }, (_, i) => (2 * means[Math.floor(i / 12) * 4 + (i % 4)]!) / 3);
    expectAllclose(dx!, expected, { rtolOfMax: 1e-6 });
  });
});

describe("what is shared", () => {
  it("a maximum's gradient, evenly among equals", async () => {
    const { values } = scene([2, 3]);
    const loss = total(reduceMax(values[0]!, { axes: [1], keepDims: false }));
    const [dx] = await gradientValues(loss, values, { x0: float32([2, 3], [2, 5, 5, 1, 0, -1]) });
    expectAllclose(dx!, [0, 0.5, 0.5, 1, 0, 0], { atol: 0 });
  });
});

describe("what has no influence", () => {
  it("gets zeros in its shape: unused, used by integers alone, or in a part nobody reads", async () => {
    const { values } = scene([2], [3], [4]);
    const [x, unused, counted] = values as [Var, Var, Var];
    const parts = split(counted, [1, 3], 0);
    const rounded = cast(cast(x, "int64"), "float32");
    const loss = add(total(mul(rounded, rounded)), total(parts[1]!));
    const feeds = { x0: float32([2], [1, 2]), x1: float32([3], [1, 2, 3]), x2: float32([4], [1, 2, 3, 4]) };
    const [dx, dUnused, dCounted] = await gradientValues(loss, [x, unused, counted], feeds);
    expectAllclose(dx!, [0, 0], { atol: 0 });
    expectAllclose(dUnused!, [0, 0, 0], { atol: 0 });
    expectAllclose(dCounted!, [0, 1, 1, 1], { atol: 0 });
  });

  it("may have no rule: operators beside the way to the loss are not looked at", () => {
    const { graph, values } = scene([2], [2]);
    const [x, frozen] = values as [Var, Var];
    const odd = graph.node("Mish", [frozen], [{ dtype: "float32", shape: [2] }])[0]!;
    graph.node("Mish", [x], [{ dtype: "float32", shape: [2] }]);
    expect(gradients(total(mul(x, odd)), [x])).toHaveLength(1);
  });

  it("still has its gradient as an inner value: of the loss by itself 1, of a sum its upstream", async () => {
    const { values } = scene([2]);
    const inner = tanh(values[0]!);
    const loss = total(mul(inner, inner));
    const [dInner, dLoss] = await gradientValues(loss, [inner, loss], { x0: float32([2], [0.5, 1]) });
    expectAllclose(dInner!, [2 * Math.tanh(0.5), 2 * Math.tanh(1)], { atol: 1e-6 });
    expectAllclose(dLoss!, [1], { atol: 0 });
  });
});

describe("what is refused", () => {
  it("an operator without a rule, by its name and the line that built it", () => {
    const { graph, values } = scene([2]);
    const y = graph.node("Mish", [values[0]!], [{ dtype: "float32", shape: [2] }])[0]!;
    const build = () => gradients(total(y), values);
    expect(build).toThrow(GraphError);
    expect(build).toThrow(
      /^gradients: Mish at backward\.test\.ts:\d+ has no derivative rule; add one to src\/autodiff\/rules/,
    );
  });

  it("a branch that reads a trained value, which only its name connects", () => {
    const { graph, values } = scene([2]);
    const chosen = ifElse(
      graph.input("flag", "bool", []),
      [values[0]!],
      (x) => exp(x!),
      (x) => x!,
    );
    expect(() => gradients(total(chosen), values)).toThrow(
      /^gradients: If at backward\.test\.ts:\d+ has no derivative rule/,
    );
  });

  it("a gradient of rotary tables and other operands that a rule leaves out", () => {
    const { graph, values } = scene([2, 3]);
    const picked = graph.node(
      "ScatterElements",
      [values[0]!, graph.constant("int64", [1, 1], [0]), graph.constant("float32", [1, 1], [1])],
      [{ dtype: "float32", shape: [2, 3] }],
      { axis: 1 },
    )[0]!;
    expect(() => gradients(total(picked), values)).toThrow(
      /^gradients: ScatterElements at .* has no derivative with respect to operand 0/,
    );
  });

  it("a loss that is no float scalar, integers, and values of another graph", () => {
    const { graph, values } = scene([2]);
    const ids = graph.input("ids", "int64", [2]);
    const other = scene([2]).values;
    expect(() => gradients(values[0]!, values)).toThrow(/^gradients: the loss is float32\[2\], wanted a float scalar/);
    expect(() => gradients(total(values[0]!), [ids])).toThrow(/^gradients: ids is int64 and has no gradient/);
    expect(() => gradients(total(values[0]!), other)).toThrow(/^gradients: x0 belongs to graph scene/);
  });

  it("a dimension that may be 1 or not, where the sum depends on it", () => {
    const { values } = scene(["1|M", 4], ["M", 4]);
    const [maybe, rows] = values as [Var, Var];
    expect(() => gradients(total(mul(maybe, rows)), [maybe])).toThrow(/is not known before the run/);
    expect(gradients(total(mul(maybe, rows)), [rows])).toHaveLength(1);
  });
});
