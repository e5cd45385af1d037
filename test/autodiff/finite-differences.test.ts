/**
 * Every rule of the derivative table against central differences. The operator runs in float64, its gradient too; where
 * ONNX Runtime has no float64 kernel on CPU (`float32Only`) the operator's own formula is evaluated in float64 here and
 * the gradient graph runs in float32.
 */
// Indices are bounded by their loops, hence `!`.
import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/backward.ts";
import { RULES } from "../../src/autodiff/rules/table.ts";
import { headCrossEntropy } from "../../src/autodiff/cross-entropy.ts";
import { Graph, type Var } from "../../src/graph/graph.ts";
import { distillationLosses } from "../../src/model/train/distillation-loss.ts";
import { rotaryEmbedding } from "../../src/graph/ops/attention.ts";
import * as elementwise from "../../src/graph/ops/elementwise.ts";
import { gather, gatherElements, scatterAdd } from "../../src/graph/ops/indexing.ts";
import { fusedMatMul, gemm, linear, matMul } from "../../src/graph/ops/linear.ts";
import { layerNorm, logSoftmax, rmsNorm, softmax } from "../../src/graph/ops/norm.ts";
import { reduceMax, reduceMean, reduceSum } from "../../src/graph/ops/reduce.ts";
import * as shaping from "../../src/graph/ops/shaping.ts";
import { numElements } from "../../src/tensor/host-tensor.ts";
import { openGraph, runSession } from "../helpers/run-graph.ts";
import {
  type Formula,
  rotaryFormula,
  rotaryAngles,
  erfFormula,
  quickGeluFormula,
  geluTanhFormula,
} from "./formulas.ts";

interface Case {
  /** The rule it is about. */
  readonly op: string;
  /** Shapes of the float inputs; all of them are differentiated. */
  readonly shapes: readonly (readonly number[])[];
  readonly build: (...inputs: Var[]) => Var;
  /** The same in float64, for operators without a float64 kernel. */
  readonly float32Only?: Formula;
  /** Norms: ONNX Runtime gives their mean and deviation in float32 whatever x is. */
  readonly hasFloat32Parts?: boolean;
}

const { add, div, exp, mul, sub, where } = elementwise;

const ints = (like: Var, shape: readonly number[], values: readonly number[]): Var =>
  like.graph.constant("int64", shape, values);

const unary = (op: string, build: (x: Var) => Var): Case => ({ op, shapes: [[2, 3]], build });

const binary = (op: string, build: (a: Var, b: Var) => Var): Case => ({
  op,
  shapes: [
    [2, 1, 3],
    [2, 1],
  ],
  build,
});

const CASES: readonly Case[] = [
  binary("Add", add),
  binary("Sub", sub),
  binary("Mul", mul),
  binary("Div", div),
  binary("Pow", elementwise.pow),
  {
    op: "Sum",
    shapes: [
      [2, 3],
      [2, 3],
      [2, 3],
    ],
    build: (...values) => elementwise.sum(values),
  },
  unary("Neg", elementwise.neg),
  unary("Exp", exp),
  unary("Log", elementwise.log),
  unary("Sqrt", elementwise.sqrt),
  unary("Reciprocal", elementwise.reciprocal),
  unary("Sigmoid", elementwise.sigmoid),
  {
    ...unary("Softplus", elementwise.softplus),
    float32Only: (x) => Array.from(x, (value) => Math.log1p(Math.exp(value))),
  },
  unary("Tanh", elementwise.tanh),
  unary("Relu", elementwise.relu),
  { ...unary("Erf", elementwise.erf), float32Only: erfFormula },
  { ...unary("QuickGelu", (x) => elementwise.quickGelu(x, 1)), float32Only: quickGeluFormula(1) },
  { ...unary("QuickGelu", (x) => elementwise.quickGelu(x, 1.702)), float32Only: quickGeluFormula(1.702) },
  { ...unary("Gelu", elementwise.geluTanh), float32Only: geluTanhFormula },
  {
    ...unary("Gelu", (x) => x.graph.node("Gelu", [x], [{ dtype: x.dtype, shape: x.shape }])[0]!),
    float32Only: (x) => erfFormula(x.map((value) => value * Math.SQRT1_2)).map((erf, i) => (x[i]! * (1 + erf)) / 2),
  },
  unary("Identity", elementwise.identity),
  // A cast to fewer bits moves in steps, so differences of it say nothing; its formula is y = x.
  {
    ...unary("Cast", (x) => elementwise.cast(elementwise.cast(x, "float64"), "float32")),
    float32Only: (x) => Array.from(x),
  },
  { op: "Where", shapes: [[2, 3], [3]], build: (a, b) => where(a.graph.constant("bool", [2, 1], [1, 0]), a, b) },
  unary("ReduceSum", (x) => reduceSum(x, { axes: [0], keepDims: false })),
  unary("ReduceSum", (x) => reduceSum(x, { axes: null, keepDims: true })),
  unary("ReduceMean", (x) => reduceMean(x, { axes: [-1], keepDims: false })),
  unary("ReduceMax", (x) => reduceMax(x, { axes: [1], keepDims: false })),
  {
    op: "MatMul",
    shapes: [
      [2, 2, 3],
      [3, 2],
    ],
    build: matMul,
  },
  { op: "MatMul", shapes: [[3], [2, 3, 2]], build: matMul },
  ...[false, true].flatMap((transA) =>
    [false, true].flatMap((transB): Case[] => {
      const shapes = [transA ? [4, 2] : [2, 4], transB ? [3, 4] : [4, 3]];
      const batched = [
        [2, ...shapes[0]!],
        [1, ...shapes[1]!],
      ];
      const options = { transA, transB, alpha: 0.7 };
      return [
        { op: "FusedMatMul", shapes: batched, build: (a, b) => fusedMatMul(a, b, options) },
        { op: "Gemm", shapes: [...shapes, [3]], build: (a, b, c) => gemm(a, b, options, c) },
      ];
    }),
  ),
  { op: "Gemm", shapes: [[2, 4], [3, 4], [3]], build: linear },
  unary("Softmax", (x) => softmax(x, -1)),
  unary("Softmax", (x) => softmax(x, 0)),
  unary("LogSoftmax", (x) => logSoftmax(x, 1)),
  {
    op: "SimplifiedLayerNormalization",
    shapes: [[2, 2, 3], [3]],
    build: (x, weight) => rmsNorm(x, weight, 1e-2),
    hasFloat32Parts: true,
  },
  {
    op: "LayerNormalization",
    shapes: [[2, 2, 3], [3], [3]],
    build: (x, weight, bias) => layerNorm(x, weight, bias, 1e-2),
    hasFloat32Parts: true,
  },
  {
    op: "RotaryEmbedding",
    shapes: [[1, 3, 8]],
    build: (x) => {
      const { cos, sin } = rotaryAngles();
      const table = (values: number[]): Var => x.graph.constant("float32", [5, 2], values);
      const heads = { numHeads: 2, rotaryDim: 4, headSize: 4 };
      return rotaryEmbedding(x, ints(x, [1, 3], [4, 0, 2]), { cos: table(cos), sin: table(sin) }, heads);
    },
    float32Only: rotaryFormula,
  },
  unary("Reshape", (x) => shaping.reshape(x, [3, 2])),
  unary("Squeeze", (x) => shaping.squeeze(shaping.reshape(x, [1, 6, 1]), [0, -1])),
  unary("Unsqueeze", (x) => shaping.unsqueeze(x, [0, 2])),
  unary("Transpose", (x) => shaping.transpose(x, [1, 0])),
  {
    op: "Concat",
    shapes: [
      [2, 3],
      [2, 1],
    ],
    build: (a, b) => shaping.concat([a, b, a], 1),
  },
  unary("Split", (x) => mul(shaping.split(x, [1, 2], 1)[1]!, shaping.split(x, [1, 1, 1], 1)[0]!)),
  {
    op: "Slice",
    shapes: [[7, 3]],
    build: (x) => shaping.sliceAxes(x, { starts: [1, -1], ends: [6, 0], axes: [0, 1], steps: [2, -1] }),
  },
  {
    op: "Slice",
    shapes: [[7]],
    build: (x) => shaping.sliceAxes(x, { starts: [-2], ends: [-100], axes: [0], steps: [-3] }),
  },
  unary("Pad", (x) => shaping.pad(x, [1, 0], [0, 2])),
  unary("Split", (x) => {
    const [left, right] = shaping.splitLike(x, [ints(x, [2, 1], [0, 0]), ints(x, [2, 2], [0, 0, 0, 0])], 1);
    return mul(right!, left!);
  }),
  { op: "Expand", shapes: [[1, 3]], build: (x) => shaping.repeatRow(x, ints(x, [2], [0, 0])) },
  unary("Reshape", (x) => shaping.transpose(shaping.splitRows(x, 2), [2, 1, 0])),
  { op: "Expand", shapes: [[2, 1]], build: (x) => shaping.expand(x, [3, 2, 4]) },
  unary("Gather", (x) => gather(x, ints(x, [2, 2], [1, -1, 0, 1]), 1)),
  unary("GatherElements", (x) => gatherElements(x, ints(x, [2, 2], [0, 0, 2, -1]), 1)),
  {
    op: "ScatterElements",
    shapes: [
      [2, 3],
      [2, 2],
    ],
    build: (x, updates) => scatterAdd(x, ints(x, [2, 2], [1, 1, 0, -1]), updates, 1),
  },
  {
    op: "distillation",
    shapes: [
      [3, 4],
      [3, 4],
    ],
    build: distillationLosses,
  },
  ...[false, true].flatMap((trainsHead) =>
    [0, 2].map((softCap): Case => ({
      op: "head cross-entropy",
      shapes: [
        [3, 2],
        [4, 2],
      ],
      build: (x, weight) => headCrossEntropy(x, weight, ints(x, [3], [3, 0, 3]), { trainsHead, softCap }).losses,
    })),
  ),
];

/** Values between 0.5 and 1.5, no two alike: away from every pole and tie. */
const valuesOf = (length: number, seed: number): Float64Array =>
  Float64Array.from({ length }, (_, i) => Math.fround(1 + 0.5 * Math.sin(1.7 * i + 2.3 * seed + 0.4)));

const weightOf = (i: number): number => Math.cos(i + 0.5);

/** Σ wᵢ yᵢ with fixed weights, so that no gradient cancels. */
function weightedSum(y: Var): Var {
  const weights = Array.from({ length: numElements(y.shape as number[]) }, (_, i) => Math.fround(weightOf(i)));
  const constant = y.graph.constant(y.dtype as "float32", y.shape as number[], weights);
  return reduceSum(mul(y, constant), { axes: null, keepDims: false });
}

async function check({ shapes, build, float32Only, hasFloat32Parts }: Case): Promise<void> {
  const dtype = float32Only ? "float32" : "float64";
  const graph = new Graph("case");
  const inputs = shapes.map((shape, i) => graph.input(`x${i}`, dtype, shape));
  const loss = weightedSum(build(...inputs));
  const built = gradients(loss, inputs);
  graph.output(loss, "loss");
  built.forEach((gradient, i) => graph.output(elementwise.identity(gradient), `grad${i}`));
  await using session = await openGraph(graph);

  const points = shapes.map((shape, i) => valuesOf(numElements(shape), i));
  const run = (at: readonly Float64Array[]) =>
    runSession(
      session,
      Object.fromEntries(
        at.map((data, i) => [
          `x${i}`,
          { dtype, shape: shapes[i]!, data: float32Only ? Float32Array.from(data) : data },
        ]),
      ),
    );
  const lossAt = async (at: readonly Float64Array[]): Promise<number> => {
    if (!float32Only) return Number((await run(at)).loss!.data[0]);
    return float32Only(...at).reduce((sum, y, i) => sum + y * Math.fround(weightOf(i)), 0);
  };
  const results = await run(points);
  const h = 1e-5;
  const tolerance = float32Only ? 1e-5 : hasFloat32Parts ? 1e-6 : 1e-8;
  for (const [i, point] of points.entries()) {
    const gradient = results[`grad${i}`]!;
    expect(gradient.shape).toEqual(shapes[i]);
    for (let j = 0; j < point.length; j++) {
      const moved = (step: number) => points.map((other, at) => (at === i ? other.with(j, other[j]! + step) : other));
      const numeric = ((await lossAt(moved(h))) - (await lossAt(moved(-h)))) / (2 * h);
      const miss = Math.abs(Number(gradient.data[j]) - numeric);
      expect(
        miss < tolerance * Math.max(1, Math.abs(numeric)),
        `input ${i}[${j}]: ${String(gradient.data[j])}, wanted ${numeric}`,
      ).toBe(true);
    }
  }
}

it("has a case for every rule", () => {
  const covered = new Set(CASES.map(({ op }) => op));
  expect(Object.keys(RULES).filter((op) => !covered.has(op))).toEqual([]);
});

describe.each(CASES.map((one, i) => [`${one.op} (${i})`, one] as const))("%s", (_, one) => {
  it("has the gradient that central differences give", async () => {
    await check(one);
  });
});
