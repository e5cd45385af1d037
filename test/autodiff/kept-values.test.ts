/** Which values of the forward pass gradients read, and so keep in memory. */
import { expect, it } from "vitest";
import { computeAgain } from "../../src/autodiff/again.ts";
import { gradients } from "../../src/autodiff/backward.ts";
import { Graph } from "../../src/graph/graph.ts";
import { add, exp, mul, silu } from "../../src/graph/ops/elementwise.ts";
import { linear } from "../../src/graph/ops/linear.ts";
import { rmsNorm } from "../../src/graph/ops/norm.ts";
import { reduceSum } from "../../src/graph/ops/reduce.ts";
import { reshape, reshapeLike } from "../../src/graph/ops/shaping.ts";

it("reads no result of a norm, of SiLU or of a reshape: their memory is free before the way back", () => {
  const graph = new Graph("kept");
  const ids = graph.input("ids", "int64", ["B", "T"]);
  const like = graph.input("like", "float32", ["B", "T", 8]);
  const x = graph.input("x", "float32", ["B*T", 8]);
  const weight = graph.input("weight", "float32", [8]);
  const frozen = graph.input("frozen", "float32", [8, 8]);
  const y = rmsNorm(add(x, x), weight, 1e-5);
  const gate = linear(y, frozen);
  const hidden = silu(gate);
  const rows = add(reshapeLike(mul(hidden, linear(y, frozen)), ids, [8]), like);
  const loss = reduceSum(linear(reshape(rows, ["B*T", 8]), frozen), { axes: null, keepDims: false });
  const before = graph.nodes.length;
  gradients(loss, [x]);
  const read = new Set(graph.nodes.slice(before).flatMap(({ inputs }) => inputs));
  expect([y, hidden, rows].map((value) => read.has(value))).toEqual([false, false, false]);
  expect(read.has(gate)).toBe(true);
});

it("reads a value that is computed again in its second form, which waits for the gradient", () => {
  const graph = new Graph("again");
  const x = graph.input("x", "float32", ["M", 8]);
  const y = exp(x);
  computeAgain(y, (zero) => exp(add(x, zero)));
  const loss = reduceSum(mul(y, y), { axes: null, keepDims: false });
  const before = graph.nodes.length;
  gradients(loss, [x]);
  const after = graph.nodes.slice(before);
  const waiting = after.filter(({ op }) => op === "Exp");
  expect(waiting).toHaveLength(1);
  const zero = after.find(({ op }) => op === "Size")!;
  const dy = after.find(({ op }) => op === "Expand")!.outputs[0]!;
  expect(zero.inputs).toEqual([dy]);
});
