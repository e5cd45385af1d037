import { expect, it } from "vitest";
import { Graph } from "../../src/graph/graph.ts";
import { ifElse } from "../../src/graph/ops/control.ts";
import { add, mul, silu } from "../../src/graph/ops/elementwise.ts";
import { linear } from "../../src/graph/ops/linear.ts";
import { reshape } from "../../src/graph/ops/shaping.ts";
import { printGraph } from "../../src/graph/print.ts";
import { hostTensor } from "../../src/tensor/host-tensor.ts";

function gatedGraph(): Graph {
  const graph = new Graph("gated");
  const x = graph.input("x", "float32", ["B", "T", 2]);
  const isOn = graph.input("is_on", "bool", []);
  const tensor = hostTensor("float32", [2, 2], Float32Array.of(1, 2, 3, 4));
  const weight = graph.weight("w", "float32", [2, 2], { kind: "inline", tensor });
  const rows = reshape(x, ["B*T", 2]);
  const half = graph.constant("float32", [], [0.5]);
  const y = ifElse(
    isOn,
    [rows, weight],
    (a, w) => add(mul(silu(linear(a!, w!)), graph.constant("float32", [], [0.5])), a!),
    (a) => a!,
  );
  graph.output(mul(y, half), "y");
  return graph;
}

it("prints one line a value, with types, attributes, small weights, and branches below their node", () => {
  expect(printGraph(gatedGraph())).toMatchInlineSnapshot(`
    "graph gated
      input x: float32[B,T,2]
      input is_on: bool[]
      weight w: float32[2,2] = [1,2,3,4]
      weight const_3: int64[2] = [-1,2]
      weight const_5: float32[] = [0.5]
      reshape_4: float32[B*T,2] = Reshape(x, const_3)
      if_11: float32[B*T,2] = If(is_on)
        then_branch:
          gemm_6: float32[B*T,2] = Gemm(reshape_4, w) {transB=1}
          quickgelu_7: float32[B*T,2] = QuickGelu(gemm_6) {alpha=1}
          mul_8: float32[B*T,2] = Mul(quickgelu_7, const_5)
          add_9: float32[B*T,2] = Add(mul_8, reshape_4)
          return add_9
        else_branch:
          identity_10: float32[B*T,2] = Identity(reshape_4)
          return identity_10
      y: float32[B*T,2] = Mul(if_11, const_5)
      return y"
  `);
});

it("prints the same graph the same way", () => {
  expect(printGraph(gatedGraph())).toBe(printGraph(gatedGraph()));
});
