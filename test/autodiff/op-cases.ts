/**
 * The operators of the training fixtures (`ops.json`) as nodes of our graphs: single ONNX operators by their name,
 * attributes and constant inputs, composites by the case's name.
 */
import { headCrossEntropy } from "../../src/autodiff/cross-entropy.ts";
import { METHODS } from "../../src/adapter/methods.ts";
import type { Graph, Var } from "../../src/graph/graph.ts";
import { rotaryEmbedding } from "../../src/graph/ops/attention.ts";
import * as elementwise from "../../src/graph/ops/elementwise.ts";
import { gather, gatherElements } from "../../src/graph/ops/indexing.ts";
import { linear, matMul } from "../../src/graph/ops/linear.ts";
import { layerNorm, logSoftmax, rmsNorm, softmax } from "../../src/graph/ops/norm.ts";
import { type Reduction, reduceMax, reduceMean, reduceSum } from "../../src/graph/ops/reduce.ts";
import * as shaping from "../../src/graph/ops/shaping.ts";
import { causalMask, groupedAttention } from "../../src/model/train/train-attention.ts";

const { add, div, mul, sub } = elementwise;

export interface OpCase {
  readonly name: string;
  readonly op: string;
  readonly attrs: Readonly<Record<string, number | readonly number[]>>;
  readonly inputs: readonly {
    readonly name: string;
    readonly tensor: string;
    readonly dtype: "F32" | "I64" | "BOOL";
    readonly shape: readonly number[];
    readonly values?: unknown;
    readonly grad: string | null;
  }[];
  readonly outputs: readonly {
    readonly tensor: string;
    readonly upstream: string;
    readonly shape: readonly number[];
  }[];
}

type Build = (inputs: readonly Var[], one: OpCase) => readonly Var[];

/** The numbers of a constant input, or null when the case leaves it out. */
function ints({ inputs }: OpCase, name: string): number[] | null {
  const values = inputs.find((input) => input.name === name)?.values;
  return values === undefined ? null : ([values].flat(Infinity) as number[]);
}

function int({ attrs }: OpCase, name: string): number {
  const value = attrs[name];
  if (typeof value !== "number") throw new Error(`no attribute ${name}`);
  return value;
}

const needed = (one: OpCase, name: string): number[] => {
  const values = ints(one, name);
  if (!values) throw new Error(`no input ${name}`);
  return values;
};

const unary =
  (op: (x: Var) => Var): Build =>
  ([x]) => [op(x!)];
const binary =
  (op: (a: Var, b: Var) => Var): Build =>
  ([a, b]) => [op(a!, b!)];
const reduction =
  (op: (x: Var, how: Reduction) => Var): Build =>
  ([x], one) => [op(x!, { axes: ints(one, "axes"), keepDims: (one.attrs.keepdims ?? 1) === 1 })];

/** ONNX's Reshape: 0 copies a size, −1 is what is left. */
const reshape: Build = ([x], one) => {
  const sizes = needed(one, "shape").map((size, i) => (size === 0 ? (x!.shape[i] as number) : size));
  const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  const known = count(sizes.filter((size) => size !== -1));
  return [
    shaping.reshape(
      x!,
      sizes.map((size) => (size === -1 ? count(x!.shape as number[]) / known : size)),
    ),
  ];
};

const slice: Build = ([x], one) => {
  const starts = needed(one, "starts");
  const [axes, steps] = [ints(one, "axes") ?? starts.map((_, i) => i), ints(one, "steps") ?? starts.map(() => 1)];
  return [shaping.sliceAxes(x!, { starts, ends: needed(one, "ends"), axes, steps })];
};

const OPERATORS: Readonly<Record<string, Build>> = {
  Add: binary(add),
  Sub: binary(sub),
  Mul: binary(mul),
  Div: binary(div),
  Pow: binary(elementwise.pow),
  Neg: unary(elementwise.neg),
  Exp: unary(elementwise.exp),
  Log: unary(elementwise.log),
  Sqrt: unary(elementwise.sqrt),
  Reciprocal: unary(elementwise.reciprocal),
  Sigmoid: unary(elementwise.sigmoid),
  Tanh: unary(elementwise.tanh),
  Erf: unary(elementwise.erf),
  Cast: ([x]) => [x!.graph.node("Cast", [x!], [{ dtype: "float32", shape: x!.shape }], { to: 1 })[0]!],
  Where: ([condition, x, y]) => [elementwise.where(condition!, x!, y!)],
  Softmax: ([x], one) => [softmax(x!, int(one, "axis"))],
  LogSoftmax: ([x], one) => [logSoftmax(x!, int(one, "axis"))],
  ReduceSum: reduction(reduceSum),
  ReduceMean: reduction(reduceMean),
  ReduceMax: reduction(reduceMax),
  MatMul: binary(matMul),
  Transpose: ([x], { attrs }) => [
    shaping.transpose(
      x!,
      (attrs.perm as readonly number[] | undefined) ?? x!.shape.map((_, i) => x!.shape.length - 1 - i),
    ),
  ],
  Reshape: reshape,
  Concat: (values, one) => [shaping.concat(values, int(one, "axis"))],
  Split: ([x], one) => shaping.split(x!, needed(one, "split"), int(one, "axis")),
  Slice: slice,
  Expand: ([x], one) => [shaping.expand(x!, needed(one, "shape"))],
  Squeeze: ([x], one) => [shaping.squeeze(x!, needed(one, "axes"))],
  Unsqueeze: ([x], one) => [shaping.unsqueeze(x!, needed(one, "axes"))],
  Gather: ([x, indices], one) => [gather(x!, indices!, int(one, "axis"))],
  GatherElements: ([x, indices], one) => [gatherElements(x!, indices!, int(one, "axis"))],
};

const constant = (like: Var, value: number): Var => like.graph.constant("float32", [], [value]);

const geluExact: Build = ([x]) => {
  const inner = elementwise.erf(mul(x!, constant(x!, Math.SQRT1_2)));
  return [mul(mul(x!, constant(x!, 0.5)), add(constant(x!, 1), inner))];
};

const geluTanh: Build = ([x]) => {
  const cube = elementwise.pow(x!, constant(x!, 3));
  const inner = mul(add(x!, mul(cube, constant(x!, 0.044715))), constant(x!, Math.sqrt(2 / Math.PI)));
  return [mul(mul(x!, constant(x!, 0.5)), add(constant(x!, 1), elementwise.tanh(inner)))];
};

/** [B,H,T,D] through the operator's layout [B,T,H·D]; the tables' halves are equal, so the first is taken. */
const rotary: Build = ([x, cos, sin]) => {
  const [b, numHeads, t, headSize] = x!.shape as [number, number, number, number];
  const rows = shaping.reshape(shaping.transpose(x!, [0, 2, 1, 3]), [b, t, numHeads * headSize]);
  const positions = Array.from({ length: b * t }, (_, i) => i % t);
  const tables = { cos: shaping.slice(cos!, 1, 0, headSize / 2), sin: shaping.slice(sin!, 1, 0, headSize / 2) };
  const turned = rotaryEmbedding(rows, x!.graph.constant("int64", [b, t], positions), tables, {
    numHeads,
    rotaryDim: headSize,
    headSize,
  });
  return [shaping.transpose(shaping.reshape(turned, [b, t, numHeads, headSize]), [0, 2, 1, 3])];
};

const attention: Build = ([q, k, v]) => {
  const [b, , t, headSize] = q!.shape as [number, number, number, number];
  const ids = q!.graph.constant(
    "int64",
    [b, t],
    Array.from({ length: b * t }, () => 0),
  );
  const mask = causalMask(ids, null);
  return [groupedAttention(q!, k!, v!, { mask, scale: headSize ** -0.5, softCap: 0 })];
};

/**
 * The logits times the identity, so that the whole composite is used: all rows t predict t + 1, masked ones with weight
 * 0.
 */
const crossEntropy: Build = ([logits], one) => {
  const [b, t, vocab] = logits!.shape as [number, number, number];
  const { graph } = logits!;
  const identity = Array.from({ length: vocab * vocab }, (_, i) => (i % (vocab + 1) === 0 ? 1 : 0));
  const shifted = (values: number[]): number[] => values.filter((_, i) => i % t > 0);
  const x = shaping.reshape(shaping.slice(logits!, 1, 0, t - 1), [b * (t - 1), vocab]);
  const labels = graph.constant("int64", [b * (t - 1)], shifted(needed(one, "ids")));
  const weights = shifted(needed(one, "mask"));
  const { losses } = headCrossEntropy(x, graph.constant("float32", [vocab, vocab], identity), labels, {
    trainsHead: false,
    softCap: 0,
  });
  const weighted = mul(losses, graph.constant("float32", [weights.length], weights));
  const count = weights.reduce((a, c) => a + c, 0);
  return [div(reduceSum(weighted, { axes: null, keepDims: false }), constant(x, count))];
};

/** x [B,T,dIn] through one of our methods, whose inputs have their names in the fixtures. */
const adapter =
  (method: keyof typeof METHODS, router: "none" | "rank1" | "full" = "none"): Build =>
  (values, one) => {
    const byName = Object.fromEntries(one.inputs.map((input, i) => [input.name, values[i]!]));
    const { x, basis_U: u, basis_V: right, ...parameters } = byName;
    const [b, t, dIn] = x!.shape as [number, number, number];
    const heads = (parameters.lambda?.shape[0] as number | undefined) ?? 1;
    const basis = u ? { left: shaping.transpose(u, [1, 0]), right: right! } : null;
    const target = {
      dIn,
      dOut: one.outputs[0]!.shape[2]!,
      k: 0,
      scale: (one.attrs.alpha as number) / (one.attrs.r as number),
    };
    const rows = shaping.reshape(x!, [b * t, dIn]);
    const delta = METHODS[method].delta(rows, target, { heads, router }, parameters, basis);
    return [shaping.reshape(delta, one.outputs[0]!.shape)];
  };

const COMPOSITES: Readonly<Record<string, Build>> = {
  fan_out: ([x]) => [add(mul(x!, x!), mul(x!, elementwise.tanh(x!)))],
  rms_norm: ([x, gain], one) => [rmsNorm(x!, gain!, int(one, "eps"))],
  layer_norm: ([x, gain, shift], one) => [layerNorm(x!, gain!, shift!, int(one, "eps"))],
  silu: ([x]) => [elementwise.silu(x!)],
  swiglu: ([gate, up]) => [mul(elementwise.silu(gate!), up!)],
  gelu_exact: geluExact,
  gelu_tanh: geluTanh,
  rotary,
  causal_attention_gqa: attention,
  cross_entropy_masked: crossEntropy,
  linear_bias: ([x, weight, bias], one) => {
    const [b, t, dIn] = x!.shape as [number, number, number];
    return [shaping.reshape(linear(shaping.reshape(x!, [b * t, dIn]), weight!, bias!), one.outputs[0]!.shape)];
  },
  mo_sara_n1: adapter("mo-sara"),
  mo_sara_rank1: adapter("mo-sara", "rank1"),
  mo_sara_full: adapter("mo-sara", "full"),
  sara: adapter("sara"),
  lora: adapter("lora"),
};

const DTYPES = { F32: "float32", I64: "int64", BOOL: "bool" } as const;

/** Declares the case's inputs and builds its operator. @throws when the operator or composite is unknown */
export function buildCase(graph: Graph, one: OpCase): { inputs: readonly Var[]; outputs: readonly Var[] } {
  const inputs = one.inputs.map(({ name, dtype, shape }) => graph.input(`in.${name}`, DTYPES[dtype], shape));
  const build = one.op === "composite" ? COMPOSITES[one.name] : OPERATORS[one.op];
  if (!build) throw new Error(`no builder for ${one.op} ${one.name}`);
  return { inputs, outputs: build(inputs, one) };
}
