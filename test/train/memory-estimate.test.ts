/**
 * The estimate of a training run's memory, on the graphs of every golden model; against real processes in
 * test/cli/train.test.ts.
 */
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { type TrainGraphOptions, buildTrainGraph } from "../../src/model/train/train-graph.ts";
import { estimateTrainingMemory } from "../../src/train/memory-estimate.ts";
import { casesIn, fixturesDir } from "../helpers/fixtures.ts";
import { join } from "node:path";

const MODELS = fixturesDir("models");

describe.each(casesIn(MODELS, "config.json"))("the memory that training all of %s takes", (name) => {
  const estimate = async (rows: number, length: number, lossRows: number, isEvaluated = false) => {
    await using checkpoint = await openCheckpoint(join(MODELS, name));
    const source = { has: (tensor: string) => checkpoint.tensors.some((one) => one.name === tensor) };
    const options: TrainGraphOptions = {
      config: checkpoint.config,
      source: source as never, // a whole model is asked for nothing else
      trained: { kind: "full" },
    };
    const { graph, parameters } = buildTrainGraph(options);
    const forward = buildTrainGraph({ ...options, hasGradients: false }).graph;
    const graphs = isEvaluated ? [graph, forward] : [graph];
    const numbers = parameters.reduce((sum, { shape }) => sum + shape.reduce((size, dim) => size * dim, 1), 0);
    return {
      ...estimateTrainingMemory(graphs, { rows, length, lossRows }),
      numbers,
      config: checkpoint.config,
    };
  };

  it("is five copies of the parameters and values that grow with the batch", async () => {
    const small = await estimate(2, 16, 8);
    expect(small.parameters).toBe(5 * 4 * small.numbers);
    const wide = await estimate(4, 16, 16);
    // Masks and gradients of the weights do not grow with it, and are much of so small a model.
    expect(wide.activations / small.activations).toBeGreaterThan(1.1);
    expect(wide.activations / small.activations).toBeLessThanOrEqual(2);
    const long = await estimate(2, 32, 16);
    expect(long.activations).toBeGreaterThan(wide.activations);
    // At least the logits and their gradient are alive together.
    expect(small.activations).toBeGreaterThan(2 * 4 * 8 * small.config.vocabSize);
  });

  it("holds weights and values of the held-out losses as well", async () => {
    const [one, two] = [await estimate(2, 16, 8), await estimate(2, 16, 8, true)];
    // A whole model's weights are parameters; what is left are tables.
    expect(two.weights).toBeGreaterThanOrEqual(one.weights);
    expect(two.activations).toBeGreaterThan(one.activations);
    expect(two.activations).toBeLessThan(2 * one.activations);
    expect(two.parameters).toBe(one.parameters);
  });
});
