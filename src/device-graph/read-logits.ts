/**
 * Reads a step's logits inside the serving graph, for logits in the host's memory. ONNX Runtime's binding (1.30) copies
 * every fetched output into new memory. That is 10 MB for 16 rows of a large vocabulary, where most requests need one
 * number of a row. The operators come first, then the pass that adds them to a stored graph. Every operation works
 * within one row, and none of its values depends on the number of rows. Pure.
 */
import type { OnnxModel } from "../formats/onnx-proto.ts";
import { fixedDim, Graph, graphOf, type Var } from "../graph/graph.ts";
import { add, equal, mul, not, or, sub } from "../graph/ops/elementwise.ts";
import { compress, gatherND } from "../graph/ops/indexing.ts";
import { argMax } from "../graph/ops/order.ts";
import { reduceMax, reduceSum } from "../graph/ops/reduce.ts";
import { reshape, unsqueeze } from "../graph/ops/shaping.ts";
import { BEST_IDS, blockMaximaPort, IS_WHOLE, logitsPort, ROW_SUMS, wholeLogitsPort } from "../model/ports.ts";
import { graphPart } from "./graph-part.ts";

/** Larger blocks leave more to search within one block, smaller blocks leave more maxima to search among. */
const MAX_BLOCK = 256;
const MIN_BLOCK = 16;

/**
 * Logits in a block: the divisor of the vocabulary's size that is nearest to 128; the whole vocabulary where no divisor
 * has a useful size.
 */
export function logitBlockSize(vocabSize: number): number {
  const sizes = Array.from({ length: MAX_BLOCK - MIN_BLOCK + 1 }, (_, i) => MIN_BLOCK + i);
  const distance = (size: number): number => Math.abs(Math.log2(size / 128));
  const divisors = sizes.filter((size) => vocabSize % size === 0);
  return divisors.sort((a, b) => distance(a) - distance(b))[0] ?? vocabSize;
}

export interface ReadLogits {
  /** The likeliest token of each row, the first among equals, int64 [N]. */
  readonly bestIds: Var;
  /** Sum of each row, float32 [N]: not finite where one of its logits is not. */
  readonly sums: Var;
  /** The greatest logit of every block, float32 [N,V/block]. */
  readonly maxima: Var;
  /**
   * Rows that are requested whole, or whose sum is not finite, float32 [F,V]. Values that are not finite must be found
   * one by one.
   */
  readonly whole: Var;
}

/** @param logits float32 [N,V] @param isWhole bool [N] */
export function readLogits(logits: Var, isWhole: Var): ReadLogits {
  const vocabSize = fixedDim("readLogits", "the size of the vocabulary", logits.shape[1]);
  const blockSize = logitBlockSize(vocabSize);
  const blocks = reshape(logits, [logits.shape[0]!, vocabSize / blockSize, blockSize]);
  const maxima = reduceMax(blocks, { axes: [2], keepDims: false });
  const sums = reduceSum(logits, { axes: [1], keepDims: false });
  const none = sub(sums, sums); // NaN where the sum is infinite
  const isFinite = equal(none, graphOf(logits).constant("float32", [], [0]));
  return {
    bestIds: firstGreatest(blocks, maxima, blockSize),
    sums,
    maxima,
    whole: compress(logits, or(isWhole, not(isFinite)), "F"),
  };
}

/**
 * In the first block with the greatest maximum, finds the first such logit. This takes a quarter of the time of
 * searching the whole row (measured).
 */
function firstGreatest(blocks: Var, maxima: Var, blockSize: number): Var {
  const block = firstOf(maxima);
  const within = firstOf(gatherND(blocks, unsqueeze(block, 1), 1));
  return add(mul(block, graphOf(blocks).constant("int64", [], [blockSize])), within);
}

/**
 * Index of each row's first greatest value. ONNX Runtime's ArgMax (1.30) leaves an extra axis where there are no rows.
 */
function firstOf(rows: Var): Var {
  return reshape(argMax(rows), rows.shape.slice(0, 1));
}

/**
 * The graph with `BEST_IDS`, `ROW_SUMS`, blocks' maxima and whole rows as outputs instead of the logits, and the
 * further input `IS_WHOLE`.
 */
export function withReadLogits(model: OnnxModel): OnnxModel {
  const { graph } = model;
  const { name } = logitsPort(0); // for its name
  const info = graph.output.find((one) => one.name === name);
  const vocabSize = info?.type?.tensorType?.shape?.dim[1]?.dimValue;
  if (vocabSize === undefined) throw new Error(`internal: a serving graph without ${name} of a known size`);
  const part = graphPart(reading(vocabSize), "read_logits", NAMES);
  return {
    ...model,
    graph: {
      ...graph,
      node: [...graph.node, ...part.nodes],
      initializer: [...graph.initializer, ...part.constants],
      input: [...graph.input, ...part.inputs.filter((one) => one.name !== name)],
      output: [...graph.output.filter((one) => one !== info), ...part.outputs],
    },
  };
}

/** In the order in which `reading` returns them. */
const NAMES = [BEST_IDS, ROW_SUMS, blockMaximaPort(0), wholeLogitsPort(0)].map(({ name }) => name);

function reading(vocabSize: number): Graph {
  const graph = new Graph("read-logits");
  const [logits, isWhole] = [logitsPort(vocabSize), IS_WHOLE].map(({ name, dtype, shape }) =>
    graph.input(name, dtype, shape),
  );
  const { bestIds, sums, maxima, whole } = readLogits(logits!, isWhole!); // one a port
  for (const one of [bestIds, sums, maxima, whole]) graph.output(one);
  return graph;
}
