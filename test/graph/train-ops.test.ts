/**
 * Shape inference and mistakes of the operations that training graphs add; their values are held to PyTorch's in
 * test/autodiff.
 */
import { describe, expect, it } from "vitest";
import { Graph, GraphError, type Var } from "../../src/graph/graph.ts";
import { and, equal, erf, less, maximum, neg, not, or, pow, sum, where } from "../../src/graph/ops/elementwise.ts";
import {
  compress,
  gather,
  gatherElements,
  gatherND,
  indicesAlong,
  numElementsOf,
  scatterAdd,
  zerosLike,
} from "../../src/graph/ops/indexing.ts";
import { fusedMatMul, gemm, matMul } from "../../src/graph/ops/linear.ts";
import { logSoftmax } from "../../src/graph/ops/norm.ts";
import { reduceMax, reduceMean, reduceSum } from "../../src/graph/ops/reduce.ts";
import {
  concat,
  expand,
  expandAs,
  repeatRow,
  reshape,
  reshapeAs,
  shapeOf,
  sliceAxes,
  splitLike,
  splitRows,
  split,
  squeeze,
  unsqueeze,
} from "../../src/graph/ops/shaping.ts";
import { formatShape } from "../../src/graph/shape.ts";
import type { DType } from "../../src/tensor/dtype.ts";
import { runGraph } from "../helpers/run-graph.ts";
import { float32 } from "../helpers/models/training-cases.ts";

const graph = new Graph("test");
let numInputs = 0;
const value = (shape: Var["shape"], dtype: DType = "float32"): Var =>
  graph.input(`x${++numInputs}_${dtype}`, dtype, shape);
const typed = (result: Var): string => `${result.dtype}${formatShape(result.shape)}`;
const ids = (shape: Var["shape"]): Var => value(shape, "int64");
const bools = (shape: Var["shape"]): Var => value(shape, "bool");
const bounds = (starts: number[], ends: number[], axes: number[], steps: number[]) => ({ starts, ends, axes, steps });

const RESULTS: readonly [string, () => Var, string][] = [
  ["pow", () => pow(value(["B", 4]), value([])), "float32[B,4]"],
  ["maximum", () => maximum(value(["B", 1]), value([3])), "float32[B,3]"],
  ["equal", () => equal(ids(["B", "T", 1]), ids(["B", 1, "T"])), "bool[B,T,T]"],
  ["less", () => less(ids(["T", 1]), ids([])), "bool[T,1]"],
  ["and", () => and(bools(["B", 1]), bools(["T"])), "bool[B,T]"],
  ["where", () => where(bools(["B", 1]), value([3]), value([])), "float32[B,3]"],
  ["sum of three", () => sum([value(["B"]), value(["B"]), value(["B"])]), "float32[B]"],
  ["neg", () => neg(value(["B", 2])), "float32[B,2]"],
  ["erf", () => erf(value(["B", 2])), "float32[B,2]"],
  ["logSoftmax", () => logSoftmax(value(["B", 2]), -1), "float32[B,2]"],
  ["matMul of vectors", () => matMul(value([4]), value([4])), "float32[]"],
  ["matMul of a row", () => matMul(value([4]), value(["B", 4, 5])), "float32[B,5]"],
  ["matMul with a column", () => matMul(value(["B", 3, 4]), value([4])), "float32[B,3]"],
  [
    "fusedMatMul",
    () => fusedMatMul(value(["B", 4, 3]), value([5, 4]), { transA: true, transB: true }),
    "float32[B,3,5]",
  ],
  ["gemm", () => gemm(value([4, "M"]), value([4, 5]), { transA: true }, value([5])), "float32[M,5]"],
  ["reduceSum", () => reduceSum(value(["B", "T", 4]), { axes: [0, -1], keepDims: false }), "float32[T]"],
  ["reduceMean", () => reduceMean(value(["B", 4]), { axes: [1], keepDims: true }), "float32[B,1]"],
  ["reduceMax of all", () => reduceMax(value(["B", 4]), { axes: null, keepDims: false }), "float32[]"],
  ["gather", () => gather(value(["B", 7, 4]), ids(["N", 2]), 1), "float32[B,N,2,4]"],
  ["gather of a scalar", () => gather(value(["B", 7]), ids([]), -1), "float32[B]"],
  ["gatherElements", () => gatherElements(value(["N", 9]), ids(["N", 1]), 1), "float32[N,1]"],
  ["gatherND", () => gatherND(value(["B", 2, "S", 8]), ids(["B", 2, "T", 1]), 2), "float32[B,2,T,8]"],
  ["compress", () => compress(value(["N", 9]), bools(["N"]), "F"), "float32[F,9]"],
  ["or", () => or(bools(["B", 1]), bools(["T"])), "bool[B,T]"],
  ["not", () => not(bools(["B"])), "bool[B]"],
  ["scatterAdd", () => scatterAdd(value([9, 4]), ids(["N", 4]), value(["N", 4]), 0), "float32[9,4]"],
  ["zerosLike", () => zerosLike(value(["B", 4], "float64")), "float64[B,4]"],
  ["indicesAlong", () => indicesAlong(ids(["B", "T"]), 1), "int64[T]"],
  ["numElementsOf", () => numElementsOf(value(["B", 4])), "float32[]"],
  ["shapeOf", () => shapeOf(value(["B", 4])), "int64[2]"],
  [
    "reshape that keeps names in place",
    () => reshape(value(["B", 4, "T", 8]), ["B", 2, "2*T", 8]),
    "float32[B,2,2*T,8]",
  ],
  ["reshapeAs", () => reshapeAs(value(["B*T", 4]), value(["B", "T", 4])), "float32[B,T,4]"],
  ["concat of named sizes", () => concat([value(["P", 4]), value(["B*T", 4])], 0, "tokens"), "float32[tokens,4]"],
  ["splitLike", () => splitLike(value(["tokens", 4]), [value(["P"]), value(["B*T"])], 0)[1]!, "float32[B*T,4]"],
  ["repeatRow", () => repeatRow(value([1, 2, "P"]), value(["B", 7])), "float32[B,2,P]"],
  ["splitRows", () => splitRows(value(["B", "3*T", "keys"]), 3), "float32[B,3,T,keys]"],
  ["expand", () => expand(value(["B", 1]), [5, 1, 3]), "float32[5,B,3]"],
  ["expandAs", () => expandAs(value(["N", 1]), value(["N", 9])), "float32[N,9]"],
  ["sliceAxes", () => sliceAxes(value(["B", 7]), bounds([-1], [-100], [1], [-2])), "float32[B,4]"],
  ["sliceAxes past the end", () => sliceAxes(value([7, 3]), bounds([2, 0], [99, -1], [0, 1], [1, 1])), "float32[5,2]"],
  ["squeeze of several", () => squeeze(value([1, "B", 1]), [0, -1]), "float32[B]"],
  ["unsqueeze of several", () => unsqueeze(value(["B"]), [0, -1]), "float32[1,B,1]"],
];

describe("the result's type and shape", () => {
  it.each(RESULTS)("%s", (_, build, expected) => {
    expect(typed(build())).toBe(expected);
  });
});

const MISTAKES: readonly [string, () => unknown, RegExp][] = [
  ["or of numbers", () => or(ids([2]), ids([2])), /^Or at .*: the first operand is int64, wanted bool/],
  ["not of a number", () => not(ids([2])), /^Not at .*: the operand is int64, wanted bool/],
  [
    "compress of another axis",
    () => compress(value(["N", 9]), bools([9]), "F"),
    /^compress at .*: the condition is \[9\], wanted \[N\]/,
  ],
  ["and of numbers", () => and(ids([2]), ids([2])), /^And at .*: the first operand is int64, wanted bool/],
  [
    "where on numbers",
    () => where(ids([2]), value([2]), value([2])),
    /^Where at .*: the condition is int64, wanted bool/,
  ],
  [
    "where of sizes",
    () => where(bools([2]), value([3]), value([])),
    /^Where at .*: \[2\], \[3\], \[\] do not broadcast/,
  ],
  [
    "where of two types",
    () => where(bools([2]), value([2]), ids([2])),
    /^Where at .*: the third operand is int64, wanted float32/,
  ],
  ["sum of nothing", () => sum([]), /^Sum at .*: nothing to add/],
  [
    "sum of two shapes",
    () => sum([value([2]), value([2]), value([1])]),
    /^Sum at .*: x\d+_float32 is \[1\], wanted \[2\]/,
  ],
  ["neg of integers", () => neg(ids([2])), /^Neg at .*: the operand is int64, wanted float32 or float64/],
  ["logSoftmax of no axis", () => logSoftmax(value([2]), 1), /^LogSoftmax at .*: axis 1 of \[2\]/],
  [
    "fusedMatMul of a vector",
    () => fusedMatMul(value([4]), value([4, 4]), {}),
    /^fusedMatMul at .*: x\d+_float32 is \[4\], wanted 2 dimensions or more/,
  ],
  [
    "fusedMatMul of inner sizes",
    () => fusedMatMul(value([3, 4]), value([4, 5]), { transB: true }),
    /^fusedMatMul at .*: inner sizes of .* differ, \[3,4\] × \[4,5\]/,
  ],
  [
    "gemm of a batch",
    () => gemm(value([2, 3, 4]), value([4, 5]), {}),
    /^gemm at .*: a is \[2,3,4\], wanted 2 dimensions/,
  ],
  [
    "gemm with a wide c",
    () => gemm(value([3, 4]), value([4, 5]), {}, value([2, 3, 5])),
    /^gemm at .*: c \[2,3,5\] does not broadcast to \[3,5\]/,
  ],
  [
    "reduceSum of no axis",
    () => reduceSum(value([2]), { axes: [1], keepDims: true }),
    /^ReduceSum at .*: axes \[1\] of \[2\]/,
  ],
  [
    "reduceSum of an axis twice",
    () => reduceSum(value([2, 2]), { axes: [1, -1], keepDims: true }),
    /^ReduceSum at .*: axes \[1,-1\] of \[2,2\]/,
  ],
  [
    "reduceMean of integers",
    () => reduceMean(ids([2]), { axes: null, keepDims: true }),
    /^ReduceMean at .*: the operand is int64/,
  ],
  [
    "gather by floats",
    () => gather(value([2]), value([2]), 0),
    /^gather at .*: the indices is float32, wanted int64 or int32/,
  ],
  [
    "gatherElements of a rank",
    () => gatherElements(value([2, 3]), ids([2]), 1),
    /^gatherElements at .*: the indices are \[2\], wanted as many dimensions as \[2,3\]/,
  ],
  [
    "gatherND of other leading dimensions",
    () => gatherND(value(["B", 2, "S", 8]), ids(["B", 3, "T", 1]), 2),
    /^gatherND at .*: what x shares is \[B,2,S,8\], wanted \[B,3,S,8\]/,
  ],
  [
    "scatterAdd of a shape",
    () => scatterAdd(value([2, 3]), ids([2, 1]), value([2, 2]), 1),
    /^scatterAdd at .*: updates is \[2,2\], wanted \[2,1\]/,
  ],
  ["indicesAlong no axis", () => indicesAlong(ids(["B"]), 1), /^indicesAlong at .*: axis 1 of \[B\]/],
  [
    "reshapeAs of a size",
    () => reshapeAs(value(["B", 4]), value(["B", 5])),
    /^reshapeAs at .*: \[B,4\] does not hold as many values as \[B,5\]/,
  ],
  ["expand that shrinks", () => expand(value([3]), [2]), /^expand at .*: \[3\] does not broadcast with \[2\]/],
  [
    "repeatRow of two rows",
    () => repeatRow(value([2, 3]), value(["B"])),
    /^repeatRow at .*: \[2,3\] by the rows of \[B\]/,
  ],
  ["splitRows with a rest", () => splitRows(value(["B", 7, 2]), 3), /^splitRows at .*: 3 parts of \[B,7,2\]/],
  [
    "expandAs the other way",
    () => expandAs(value([2, 3]), value([3])),
    /^expandAs at .*: \[2,3\] does not broadcast to \[3\]/,
  ],
  [
    "sliceAxes by a step of 0",
    () => sliceAxes(value([3]), bounds([0], [3], [0], [0])),
    /^sliceAxes at .*: a step of 0/,
  ],
  [
    "sliceAxes of a name",
    () => sliceAxes(value(["B"]), bounds([0], [3], [0], [1])),
    /^sliceAxes at .*: a sliced dimension has to be a number, is B/,
  ],
  [
    "unsqueeze of an axis twice",
    () => unsqueeze(value([3]), [0, -3]),
    /^unsqueeze at .*: axes \[0,-3\] of a result with 3 dimensions/,
  ],
  [
    "squeeze of several, one too wide",
    () => squeeze(value([1, 2]), [0, 1]),
    /^squeeze at .*: axis 1 of \[1,2\] is not 1/,
  ],
];

describe("a mistake names the operation, the operands and the line", () => {
  it.each(MISTAKES)("%s", (_, build, message) => {
    expect(build).toThrow(GraphError);
    expect(build).toThrow(message);
    expect(build).toThrow(/ at train-ops\.test\.ts:\d+: /);
  });
});

describe("what is not built", () => {
  it("a split of what was joined of just these parts, and only of these", () => {
    const [a, b] = [value(["B", 2]), value(["B", 3])];
    expect(split(concat([a, b], 1), [2, 3], -1)).toEqual([a, b]);
    expect(split(concat([a, b], 1), [3, 2], 1)).not.toEqual([a, b]);
    expect(split(concat([value([2, 2]), value([2, 2])], 0), [1, 1], 1)[0]!.producer?.op).toBe("Split");
  });

  it("a reshape or expansion to the shape that is there", () => {
    const x = value(["B", 4]);
    expect(reshapeAs(x, value(["B", 4]))).toBe(x);
    expect(expandAs(x, value(["B", 4]))).toBe(x);
    expect(sum([x])).toBe(x);
  });
});

it("reshapes with two names in place at run time", async () => {
  const run = new Graph("run");
  const x = run.input("x", "float32", ["B", 4, "T", 1]);
  run.output(reshape(x, ["B", 2, "2*T", 1]), "y");
  const feeds = {
    x: float32(
      [2, 4, 3, 1],
      Array.from({ length: 24 }, (_, i) => i),
    ),
  };
  expect((await runGraph(run, feeds)).y!.shape).toEqual([2, 2, 6, 1]);
});
