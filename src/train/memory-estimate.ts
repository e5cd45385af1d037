/**
 * Estimates the memory of a training run before it starts. The graph is walked
 * in execution order, and the live values are summed for the largest batch.
 * It is an estimate, because the runtime reuses buffers in its own way and packs weights for its kernels.
 */
import type { Graph, Node, Var } from "../graph/graph.ts";
import type { Dim } from "../graph/shape.ts";
import { bytesPerElement } from "../tensor/dtype.ts";
import { LENGTH_MULTIPLE } from "./data/layout.ts";

/** The largest micro-batch of a run. */
export interface BatchExtent {
  readonly rows: number;
  /** Tokens of a row, padding included. */
  readonly length: number;
  readonly lossRows: number;
}

export interface MemoryEstimate {
  /** Frozen weights, as sessions store them. */
  readonly weights: number;
  /** Largest sum of the values that are alive at once. */
  readonly activations: number;
  /** The trained values, their gradients and the optimiser's two moments. */
  readonly parameters: number;
  /** The total, including the process itself. */
  readonly total: number;
}

/** Node and the native runtime without any model. */
const PROCESS_BYTES = 160e6;
/** Values, gradients, two moments and the best values of the run. */
const COPIES_OF_PARAMETERS = 5;

/**
 * @param graphs the graphs of the run's sessions: that of the steps, and that of held-out losses where there are any
 */
export function estimateTrainingMemory(graphs: readonly Graph[], extent: BatchExtent): MemoryEstimate {
  const sizeOf = (value: Var): number => numElementsOf(value, extent) * bytesPerElement(value.dtype);
  const weights = sumOf(graphs, (graph) => weightBytes(graph, sizeOf));
  const activations = sumOf(graphs, (graph) => largestAlive(graph, frozenNodes(graph), sizeOf));
  const trained = graphs[0]?.inputs.filter(({ shape }) => shape.length > 0 && shape.every(isNumber)) ?? [];
  const parameters = COPIES_OF_PARAMETERS * sumOf(trained, sizeOf);
  return { weights, activations, parameters, total: PROCESS_BYTES + weights + activations + parameters };
}

const isNumber = (dim: Dim): boolean => typeof dim === "number";

/** Nodes that depend on weights only are computed once, when the session opens. */
function weightBytes(graph: Graph, sizeOf: (value: Var) => number): number {
  const folded = [...frozenNodes(graph)].filter((node) => !isView(node));
  return sumOf(graph.weights, ({ value }) => sizeOf(value)) + sumOf(folded, ({ outputs }) => sumOf(outputs, sizeOf));
}

function sumOf<T>(items: readonly T[], size: (item: T) => number): number {
  return items.reduce((sum, item) => sum + size(item), 0);
}

function numElementsOf({ name, shape }: Var, { rows, length, lossRows }: BatchExtent): number {
  const prefix = LENGTH_MULTIPLE; // a longer one makes the rows shorter
  const packed = { prefix, tokens: prefix + rows * length, keys: prefix + length };
  const sizes: Readonly<Record<string, number>> = { B: rows, T: length, N: lossRows, P: rows, ...packed };
  const sizeOf = (dim: Dim): number => {
    if (typeof dim === "number") return dim;
    return dim.split("*").reduce((product, part) => {
      const size = /^\d+$/.test(part) ? Number(part) : sizes[part];
      if (size === undefined) throw new Error(`internal: the dimension ${part} of ${name} has no size`);
      return product * size;
    }, 1);
  };
  return shape.reduce<number>((product, dim) => product * sizeOf(dim), 1);
}

function frozenNodes(graph: Graph): ReadonlySet<Node> {
  const weights = new Set(graph.weights.map(({ value }) => value));
  const frozen = new Set<Node>();
  const isFrozen = (value: Var | null): boolean =>
    value === null || weights.has(value) || (value.producer !== null && frozen.has(value.producer));
  for (const node of graph.nodes) if (node.inputs.length > 0 && node.inputs.every(isFrozen)) frozen.add(node);
  return frozen;
}

/** Operators whose result shares the memory of their operand. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten"]);

function isView(node: Node): boolean {
  return VIEWS.has(node.op);
}

/** A value lives from the node that makes it to its last reader; the graph's outputs live to the end. */
function largestAlive(graph: Graph, frozen: ReadonlySet<Node>, sizeOf: (value: Var) => number): number {
  const nodes = graph.nodes.filter((node) => !frozen.has(node));
  const rootOf = (value: Var): Var => {
    const { producer } = value;
    const operand = producer !== null && isView(producer) ? producer.inputs[0] : null;
    return operand ? rootOf(operand) : value;
  };
  const lastUse = new Map<Var, number>();
  nodes.forEach((node, i) => node.inputs.forEach((value) => value && lastUse.set(rootOf(value), i)));
  for (const value of graph.outputs) lastUse.set(rootOf(value), nodes.length);
  const endings = new Map<number, Var[]>();
  for (const [value, at] of lastUse) endings.set(at, [...(endings.get(at) ?? []), value]);
  let alive = 0;
  let most = 0;
  nodes.forEach((node, i) => {
    if (!isView(node)) alive += sumOf(node.outputs, sizeOf);
    most = Math.max(most, alive);
    for (const value of endings.get(i) ?? [])
      if (value.producer !== null && !frozen.has(value.producer)) alive -= sizeOf(value);
    for (const value of node.outputs) if (!isView(node) && !lastUse.has(value)) alive -= sizeOf(value);
  });
  return most;
}
