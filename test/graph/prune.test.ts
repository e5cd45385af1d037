/** Pruning: what goes, and what has to stay although nothing seems to read it. */
import { expect, it } from "vitest";
import { Graph } from "../../src/graph/graph.ts";
import { ifElse } from "../../src/graph/ops/control.ts";
import { add, exp, neg, sigmoid } from "../../src/graph/ops/elementwise.ts";
import { split } from "../../src/graph/ops/shaping.ts";
import { pruneGraph } from "../../src/graph/prune.ts";

it("drops nodes and weights that no output needs, and keeps every input", () => {
  const graph = new Graph("prune");
  const [x, idle] = [graph.input("x", "float32", [4]), graph.input("idle", "float32", [4])];
  const needed = graph.constant("float32", [], [1]);
  add(exp(idle), graph.constant("float32", [], [2]));
  const [first] = split(x, [1, 3], 0);
  graph.output(add(first!, needed), "y");
  pruneGraph(graph);
  expect(graph.nodes.map(({ op }) => op)).toEqual(["Split", "Add"]);
  expect(graph.weights.map((weight) => weight.value.shape)).toEqual([[], [2]]);
  expect(graph.inputs).toEqual([x, idle]);
});

it("keeps what only a branch reads, by its name", () => {
  const graph = new Graph("branches");
  const x = graph.input("x", "float32", [4]);
  const [read, passed] = [exp(x), neg(x)];
  sigmoid(x);
  const flag = graph.input("flag", "bool", []);
  graph.output(
    ifElse(
      flag,
      [read, passed],
      (one, other) => add(one!, other!),
      (_, other) => other!,
    ),
    "y",
  );
  pruneGraph(graph);
  expect(graph.nodes.map(({ op }) => op)).toEqual(["Exp", "Neg", "If"]);
});
