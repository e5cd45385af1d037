/**
 * The sampling graphs: logits in, the little that choosing tokens needs of them out. They are graphs of their own beside the serving
 * graph, so that a step computes only what its requests ask for, and a row that turns out to be needed whole can be had afterwards.
 * Every operation works within one row, and none of its values depends on how many rows there are.
 */
import { Graph, type Var } from "../graph/graph.ts";
import { exp, mul, sub } from "../graph/ops/elementwise.ts";
import { argMax, topK } from "../graph/ops/order.ts";
import { reduceMax, reduceSum } from "../graph/ops/reduce.ts";
import { gatherRows, reshape } from "../graph/ops/shaping.ts";
import {
  BEST_IDS,
  INVERSE_TEMPERATURES,
  type Port,
  ROW_SUMS,
  type SampleGraph,
  UNIT_WEIGHT_SUMS,
  WANTED_ROWS,
  WEIGHT_SUMS,
  blockPorts,
  candidatePorts,
  logitsPort,
  wantedLogitsPort,
} from "./ports.ts";

/** Larger blocks leave more to search within one, smaller ones more maxima to search among. */
const MAX_BLOCK = 256;
const MIN_BLOCK = 16;

/**
 * Logits a block of `scan`: the divisor of the vocabulary's size that is nearest to 128, since rows that had to be padded would be copied.
 * null: there is none of a useful size.
 */
export function scanBlockSize(vocabSize: number): number | null {
  const sizes = Array.from({ length: MAX_BLOCK - MIN_BLOCK + 1 }, (_, i) => MIN_BLOCK + i);
  const distance = (size: number): number => Math.abs(Math.log2(size / 128));
  const divisors = sizes.filter((size) => vocabSize % size === 0);
  return divisors.sort((a, b) => distance(a) - distance(b))[0] ?? null;
}

/** @returns null where a vocabulary of this size cannot be had in blocks */
export function buildSampleGraph(kind: SampleGraph, vocabSize: number): Graph | null {
  const graph = new Graph(`sample-${kind}`);
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const logits = input(logitsPort(vocabSize));
  switch (kind) {
    case "scan": {
      const blockSize = scanBlockSize(vocabSize);
      return blockSize === null ? null : scan(graph, logits, vocabSize / blockSize, blockSize);
    }
    case "best":
      graph.output(argMax(logits), BEST_IDS.name);
      graph.output(reduceSum(logits, { axes: [1], keepDims: false }), ROW_SUMS.name);
      return graph;
    case "top":
      return top(graph, logits, input(INVERSE_TEMPERATURES), vocabSize);
    case "rows":
      graph.output(gatherRows(logits, input(WANTED_ROWS)), wantedLogitsPort(vocabSize).name);
      return graph;
  }
}

function scan(graph: Graph, logits: Var, numBlocks: number, blockSize: number): Graph {
  const blocks = reshape(logits, ["N", numBlocks, blockSize]);
  const ports = blockPorts(numBlocks);
  graph.output(reduceMax(blocks, { axes: [2], keepDims: false }), ports.maxima.name);
  graph.output(reduceSum(blocks, { axes: [2], keepDims: false }), ports.sums.name);
  return graph;
}

function top(graph: Graph, logits: Var, inverseTemperatures: Var, vocabSize: number): Graph {
  const { ids, logits: topLogits } = candidatePorts(vocabSize);
  const candidates = topK(logits, ids.shape[1] as number); // the port's own, a number
  // Relative to the greatest one: large logits would overflow.
  const below = sub(logits, reduceMax(logits, { axes: [1], keepDims: true }));
  const total = (x: Var): Var => reduceSum(exp(x), { axes: [1], keepDims: false });
  graph.output(candidates.indices, ids.name);
  graph.output(candidates.values, topLogits.name);
  graph.output(total(mul(below, inverseTemperatures)), WEIGHT_SUMS.name);
  graph.output(total(below), UNIT_WEIGHT_SUMS.name);
  return graph;
}
