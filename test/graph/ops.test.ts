/**
 * Every operation's shape inference, and what it says when operands do not fit: the operation, the operands, this
 * file's line.
 */
import { describe, expect, it } from "vitest";
import { Graph, GraphError, type Var } from "../../src/graph/graph.ts";
import { groupQueryAttention, rotaryEmbedding } from "../../src/graph/ops/attention.ts";
import { ifElse } from "../../src/graph/ops/control.ts";
import { add, cast, div, exp, mul, quickGelu, sigmoid, silu, sub } from "../../src/graph/ops/elementwise.ts";
import { type QuantizedWeight, linear, matMul, quantizedLinear } from "../../src/graph/ops/linear.ts";
import { rmsNorm, softmax } from "../../src/graph/ops/norm.ts";
import {
  concat,
  gatherRows,
  pad,
  reshape,
  reshapeLike,
  slice,
  split,
  squeeze,
  transpose,
  unsqueeze,
} from "../../src/graph/ops/shaping.ts";
import { formatShape } from "../../src/graph/shape.ts";
import type { DType } from "../../src/tensor/dtype.ts";

const graph = new Graph("test");
let numInputs = 0;
const value = (shape: Var["shape"], dtype: DType = "float32"): Var =>
  graph.input(`x${++numInputs}_${dtype}`, dtype, shape);
const typed = (result: Var): string => `${result.dtype}${formatShape(result.shape)}`;

const int64 = (shape: Var["shape"]): Var => value(shape, "int64");
const format = { bits: 4, blockSize: 32, accuracyLevel: 4 } as const;
const blocks = (parts: Partial<QuantizedWeight> = {}): QuantizedWeight => ({
  packed: value([5, 2, 16], "uint8"),
  scales: value([5, 2]),
  zeroPoints: null,
  minimums: null,
  ...parts,
});

const attention = (changes: Partial<Parameters<typeof groupQueryAttention>[0]> = {}): Var =>
  groupQueryAttention({
    query: value(["B", "T", 64]),
    pastKey: value(["B", 1, "S", 16]),
    pastValue: value(["B", 1, "S", 16]),
    lastPositions: value(["B"], "int32"),
    totalLength: value([], "int32"),
    rotary: null,
    numHeads: 2,
    numKvHeads: 1,
    scale: 0.25,
    window: -1,
    softCap: 0,
    ...changes,
  }).output;
const tables = (): { cos: Var; sin: Var } => ({ cos: value([32, 8]), sin: value([32, 8]) });

const RESULTS: readonly [string, () => Var, string][] = [
  ["add", () => add(value(["B", 4]), value([4])), "float32[B,4]"],
  ["sub", () => sub(value(["B*T", 4]), value(["1|B*T", 4])), "float32[B*T,4]"],
  ["mul", () => mul(value([3, 1]), value([2])), "float32[3,2]"],
  ["div", () => div(value(["B", 1]), value(["B", 7])), "float32[B,7]"],
  ["exp", () => exp(value(["B"])), "float32[B]"],
  ["sigmoid", () => sigmoid(value(["B"])), "float32[B]"],
  ["quickGelu", () => quickGelu(value(["B", 2]), 1.7), "float32[B,2]"],
  ["silu", () => silu(value(["B", 2])), "float32[B,2]"],
  ["cast", () => cast(value(["B", 2], "float16"), "float32"), "float32[B,2]"],
  ["matMul", () => matMul(value(["B", 1, "T", 8]), value([4, 8, 5])), "float32[B,4,T,5]"],
  ["linear", () => linear(value(["B*T", 8]), value([5, 8]), value([5])), "float32[B*T,5]"],
  ["quantizedLinear", () => quantizedLinear(value(["B*T", 40]), blocks(), format), "float32[B*T,5]"],
  ["rmsNorm", () => rmsNorm(value(["B", 8]), value([8]), 1e-5), "float32[B,8]"],
  ["softmax", () => softmax(value(["B", 8]), -1), "float32[B,8]"],
  ["reshape", () => reshape(value(["B", "T", 8]), ["T*B", 8]), "float32[T*B,8]"],
  ["reshapeLike", () => reshapeLike(value(["B*T", 8]), int64(["B", "T"]), [2, 4]), "float32[B,T,2,4]"],
  ["unsqueeze", () => unsqueeze(value(["B", 8]), 1), "float32[B,1,8]"],
  ["unsqueeze from the end", () => unsqueeze(value(["B", 8]), -1), "float32[B,8,1]"],
  ["squeeze", () => squeeze(value(["B", 1, 8]), 1), "float32[B,8]"],
  ["transpose", () => transpose(value(["B", 3, 8]), [2, 0, 1]), "float32[8,B,3]"],
  ["concat", () => concat([value(["B", 3]), value(["B", 4])], -1), "float32[B,7]"],
  ["split", () => split(value(["B", 7]), [3, 4], 1)[1]!, "float32[B,4]"],
  ["slice", () => slice(value(["B", 7]), 1, 2, 5), "float32[B,3]"],
  ["gatherRows", () => gatherRows(value([99, 8], "float16"), int64(["B", "T"])), "float16[B,T,8]"],
  ["pad", () => pad(value(["B", 3]), [0, 1], [0, 2]), "float32[B,6]"],
  [
    "ifElse",
    () =>
      ifElse(
        value([], "bool"),
        [value(["B", 3])],
        (x) => exp(x!),
        (x) => x!,
      ),
    "float32[B,3]",
  ],
  ["groupQueryAttention", () => attention(), "float32[B,T,32]"],
  [
    "groupQueryAttention with q, k, v apart",
    () => attention({ query: value(["B", "T", 32]), key: value(["B", "T", 16]), value: value(["B", "T", 16]) }),
    "float32[B,T,32]",
  ],
  [
    "rotaryEmbedding",
    () =>
      rotaryEmbedding(value(["B", "T", 32]), int64(["B", "T"]), tables(), { numHeads: 2, rotaryDim: 16, headSize: 16 }),
    "float32[B,T,32]",
  ],
];

describe("shape inference", () => {
  it.each(RESULTS)("%s", (_, build, expected) => expect(typed(build())).toBe(expected));
});

const MISTAKES: readonly [string, () => unknown, RegExp][] = [
  [
    "add of shapes",
    () => add(value(["B", 4]), value([5])),
    /^Add at .*: x\d+_float32 \[B,4\] and x\d+_float32 \[5\] do not broadcast/,
  ],
  ["add of types", () => add(value([4]), int64([4])), /^Add at .*: the second operand is int64, wanted float32/],
  ["exp of integers", () => exp(int64([4])), /^Exp at .*: the operand is int64, wanted float32 or float64/],
  [
    "matMul of inner sizes",
    () => matMul(value(["T", 64]), value([80, 8])),
    /^matMul at .*: inner sizes of .* differ, \[T,64\] × \[80,8\]/,
  ],
  ["matMul of a scalar", () => matMul(value([]), value([4, 4])), /^matMul at .*\[4,4\]/],
  [
    "matMul of batches",
    () => matMul(value([2, 4, 4]), value([3, 4, 4])),
    /^matMul at .*: batch sizes do not broadcast/,
  ],
  [
    "linear of inner sizes",
    () => linear(value(["B", 8]), value([5, 9])),
    /^linear at .*: inner sizes differ: x is \[B,8\], the weight \[5,9\]/,
  ],
  [
    "linear of a bias",
    () => linear(value(["B", 8]), value([5, 8]), value([8])),
    /^linear at .*: the bias is \[8\], wanted \[5\]/,
  ],
  [
    "linear of a rank",
    () => linear(value(["B", "T", 8]), value([5, 8])),
    /^linear at .*: x is \[B,T,8\], wanted 2 dimensions/,
  ],
  [
    "quantizedLinear of blocks",
    () => quantizedLinear(value(["B", 65]), blocks(), format),
    /^quantizedLinear at .*: the packed weight is \[5,2,16\], wanted \[5,3,16\]/,
  ],
  [
    "rmsNorm of a weight",
    () => rmsNorm(value(["B", 8]), value([7]), 1e-5),
    /^rmsNorm at .*: the weight is \[7\], wanted \[8\]/,
  ],
  ["softmax of integers", () => softmax(int64([4]), -1), /^softmax at .*: x is int64, wanted float32/i],
  [
    "reshape of a size",
    () => reshape(value(["B", 6]), ["B", 5]),
    /^reshape at .*: \[B,6\] does not hold as many values as \[B,5\]/,
  ],
  [
    "reshape with two names",
    () => reshape(value(["B", "T", 2]), ["T", 2, "B"]),
    /^reshape at .*: only one dimension of \[T,2,B\] may/,
  ],
  [
    "reshapeLike of a size",
    () => reshapeLike(value(["B", 8]), int64(["B", "T"]), [8]),
    /^reshapeLike at .*: \[B,8\] does not hold as many values as \[B,T,8\]/,
  ],
  ["squeeze of more than one", () => squeeze(value(["B", 2]), 1), /^squeeze at .*: axis 1 of \[B,2\] is not 1/],
  ["squeeze of no axis", () => squeeze(value(["B", 1]), 2), /^squeeze at .*: axis 2 of \[B,1\]/],
  [
    "transpose of no permutation",
    () => transpose(value(["B", 2]), [0, 0]),
    /^transpose at .*: \[0,0\] is no permutation of the dimensions of \[B,2\]/,
  ],
  [
    "concat of other sizes",
    () => concat([value(["B", 2]), value(["T", 2])], 1),
    /^concat at .*: \[T,2\] does not join \[B,2\] along axis 1/,
  ],
  ["concat of nothing", () => concat([], 0), /^concat at .*: nothing to join/],
  [
    "concat of a named size",
    () => concat([value(["B"]), value(["B"])], 0),
    /^concat at .*: the joined dimension has to be a number, is B/,
  ],
  ["split of a size", () => split(value(["B", 7]), [3, 3], 1), /^split at .*: parts \[3,3\] of axis 1 of \[B,7\]/],
  ["slice beyond the end", () => slice(value(["B", 7]), 1, 2, 8), /^slice at .*: 2…8 of axis 1 of \[B,7\]/],
  [
    "gatherRows by floats",
    () => gatherRows(value([9, 8]), value(["B"])),
    /^gatherRows at .*: the indices is float32, wanted int64 or int32/,
  ],
  [
    "pad of a named size",
    () => pad(value(["B", 3]), [1, 0], [0, 0]),
    /^pad at .*: a padded dimension has to be a number, is B/,
  ],
  [
    "ifElse on a number",
    () =>
      ifElse(
        value([]),
        [],
        () => value([]),
        () => value([]),
      ),
    /^ifElse at .*: the condition is float32, wanted bool/,
  ],
  [
    "ifElse on many",
    () =>
      ifElse(
        value([2], "bool"),
        [],
        () => value([]),
        () => value([]),
      ),
    /^ifElse at .*: the condition is \[2\], wanted \[\]/,
  ],
  [
    "ifElse of two types",
    () =>
      ifElse(
        value([], "bool"),
        [value([2])],
        (x) => x!,
        (x) => cast(x!, "int64"),
      ),
    /^ifElse at .*: both branches must have one dtype and rank, found float32 of rank \d and int64 of rank \d/,
  ],
  [
    "attention of a width",
    () => attention({ query: value(["B", "T", 48]) }),
    /^groupQueryAttention at .*: query is \[B,T,48\], wanted \[B,T,64\]/,
  ],
  [
    "attention of a cache",
    () => attention({ pastKey: value(["B", 2, "S", 16]), pastValue: value(["B", 2, "S", 16]) }),
    /^groupQueryAttention at .*: the cache is \[B,2,S,16\], wanted 1 heads/,
  ],
  [
    "attention of two caches",
    () => attention({ pastValue: value(["B", 1, "S", 8]) }),
    /^groupQueryAttention at .*: the value cache is \[B,1,S,8\], wanted \[B,1,S,16\]/,
  ],
  [
    "attention of positions",
    () => attention({ lastPositions: int64(["B"]) }),
    /^groupQueryAttention at .*: lastPositions is int64, wanted int32/,
  ],
  [
    "rotaryEmbedding of positions",
    () =>
      rotaryEmbedding(value(["B", "T", 32]), value(["B", "T"]), tables(), { numHeads: 2, rotaryDim: 16, headSize: 16 }),
    /^rotaryEmbedding at .*: positionIds is float32, wanted int64/,
  ],
  [
    "operands of two graphs",
    () => add(value([2]), new Graph("other").input("y", "float32", [2])),
    /^Add at .*: .* belongs to another graph/,
  ],
];

describe("a mistake names the operation, the operands and the line", () => {
  it.each(MISTAKES)("%s", (_, build, message) => {
    expect(build).toThrow(GraphError);
    expect(build).toThrow(message);
    expect(build).toThrow(/ at ops\.test\.ts:\d+: /);
  });
});

describe("an operation that changes nothing adds no node", () => {
  it.each<[string, (x: Var) => Var]>([
    ["cast to its own type", (x) => cast(x, "float32")],
    ["concat of one", (x) => concat([x], 0)],
    ["split into one", (x) => split(x, [4], 1)[0]!],
    ["slice of all", (x) => slice(x, 1, 0, 4)],
    ["pad by nothing", (x) => pad(x, [0, 0], [0, 0])],
  ])("%s", (_, build) => {
    const x = value(["B", 4]);
    expect(build(x)).toBe(x);
  });
});
