/** Every operator of the training fixtures: our graph's values and gradients against PyTorch's. */
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/backward.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { Graph } from "../../src/graph/graph.ts";
import { add, mul } from "../../src/graph/ops/elementwise.ts";
import { reduceSum } from "../../src/graph/ops/reduce.ts";
import type { HostTensor } from "../../src/tensor/host-tensor.ts";
import { maxAbs, maxAbsDifference } from "../helpers/allclose.ts";
import { fixturesDir, readJson } from "../helpers/fixtures.ts";
import { runGraph } from "../helpers/run-graph.ts";
import { type OpCase, buildCase } from "./op-cases.ts";

const dir = fixturesDir("training");
const { cases } = readJson<{ cases: readonly OpCase[] }>(dir, "ops.json");
const golden = await openSafetensors(join(dir, "ops.safetensors"));
afterAll(() => golden[Symbol.asyncDispose]());

// Two float32 runs were up to 5e-7 from the float64 reference (fixtures' README §3).
const TOLERANCE = 2e-5;

function expectClose(actual: HostTensor | undefined, expected: HostTensor, label: string): void {
  expect(actual?.shape, `${label}: shape`).toEqual(expected.shape);
  const [got, want] = [actual!.data, expected.data].map((data) => Array.from(data as ArrayLike<number>));
  const worst = maxAbsDifference(got!, want!) / Math.max(1, maxAbs(want!));
  expect(worst <= TOLERANCE, `${label}: off by ${worst}`).toBe(true);
}

it("finds operator cases", () => {
  expect(cases.length).toBeGreaterThan(0);
});

describe.each(cases.map((one) => [one.name, one] as const))("%s", (_, one) => {
  it("has PyTorch's values and gradients", async () => {
    const graph = new Graph("case");
    const { inputs, outputs } = buildCase(graph, one);
    expect(outputs.map((output) => output.shape)).toEqual(one.outputs.map((output) => output.shape));
    const upstream = outputs.map((output, i) => graph.input(`up.${i}`, "float32", output.shape));
    const losses = outputs.map((output, i) => reduceSum(mul(output, upstream[i]!), { axes: null, keepDims: false }));
    const wanted = one.inputs.flatMap((input, i) => (input.grad ? [{ input, value: inputs[i]! }] : []));
    const built = gradients(
      losses.reduce(add),
      wanted.map(({ value }) => value),
    );
    outputs.forEach((output, i) => graph.output(output, `out.${i}`));
    const named = new Map<string, string>();
    built.forEach((gradient, i) => {
      named.set(wanted[i]!.input.name, gradient.name);
      if (!graph.outputs.includes(gradient)) graph.output(gradient);
    });

    const feeds: Record<string, HostTensor> = {};
    for (const input of one.inputs) feeds[`in.${input.name}`] = await golden.read(input.tensor);
    for (const [i, output] of one.outputs.entries()) feeds[`up.${i}`] = await golden.read(output.upstream);
    const fed = Object.fromEntries(graph.inputs.map(({ name }) => [name, feeds[name]!]));
    const results = await runGraph(graph, fed);
    for (const [i, output] of one.outputs.entries())
      expectClose(results[`out.${i}`], await golden.read(output.tensor), `out.${i}`);
    for (const { input } of wanted) {
      const name = named.get(input.name)!;
      expectClose(results[name] ?? feeds[name], await golden.read(input.grad!), `gradient of ${input.name}`);
    }
  });
});
