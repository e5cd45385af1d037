/**
 * The graph-building language: typed values, nodes in the order they were built, inputs, weights and outputs.
 * A graph is built by calling the functions in `ops/`. Each checks its operands (dtype, shape).
 * Its error names the operation and the line that called it. Knows nothing of models, adapters or sessions.
 */
import type { DType } from "../tensor/dtype.ts";
import { type HostTensor, hostTensor } from "../tensor/host-tensor.ts";
import { type Dim, type Shape, formatShape, sameShape } from "./shape.ts";

/** A value of the graph: a result of a node, an input, or a weight. */
export interface Var {
  readonly graph: Graph;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** null for inputs and weights. */
  readonly producer: Node | null;
}

export type Attribute = number | string | readonly number[] | { readonly float: number } | { readonly graph: Graph };

/** One operator of ONNX ("" domain) or of ONNX Runtime ("com.microsoft"). */
export interface Node {
  readonly op: string;
  readonly domain: "" | "com.microsoft";
  /** null: an optional input that was left out. */
  readonly inputs: readonly (Var | null)[];
  readonly outputs: readonly Var[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** The line that built it: "attention.ts:41". */
  readonly site: string;
}

/** The source of a weight's bytes: inline, a file beside the model, or a function called when the model is written. */
export type WeightData =
  | { readonly kind: "inline"; readonly tensor: HostTensor }
  | { readonly kind: "file"; readonly location: string; readonly offset: number; readonly length: number }
  | { readonly kind: "made"; readonly make: () => Promise<HostTensor> };

export interface Weight {
  readonly value: Var;
  readonly data: WeightData;
}

/** A shape or type that does not fit. The message names the operation, the operands and the line that built it. */
export class GraphError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "GraphError";
  }
}

const PLACE = /([\w.-]+\.[jt]s:\d+)/;

/** The innermost stack frame outside `ops/` and this file: where the model's code called an operation. */
function callSite(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 20;
  const lines = (new Error().stack ?? "").split("\n").slice(1);
  Error.stackTraceLimit = stackTraceLimit;
  // Frames without a file belong to the language itself, such as `Array.map`.
  const places = lines
    .filter((line) => !/\/graph\/(ops\/[\w-]+|graph)\.[jt]s/.test(line))
    .map((line) => PLACE.exec(line)?.[1]);
  return places.find((place) => place !== undefined) ?? "unknown";
}

export class Graph {
  readonly name: string;
  /** The graph whose values this one may use; set for the branches of an `ifElse`. */
  readonly parent: Graph | null;
  readonly inputs: Var[] = [];
  readonly weights: Weight[] = [];
  readonly nodes: Node[] = [];
  readonly outputs: Var[] = [];
  readonly #names: Set<string>;
  readonly #scalars = new Map<string, Var>();

  constructor(name: string, parent: Graph | null = null) {
    this.name = name;
    this.parent = parent;
    // Branches share the names of the whole model, because ONNX requires unique names across nested graphs.
    this.#names = parent ? parent.#names : new Set();
  }

  /** An input fed at every run. */
  input(name: string, dtype: DType, shape: Shape): Var {
    const value = this.#value(name, dtype, shape, null);
    this.inputs.push(value);
    return value;
  }

  /** A frozen tensor that belongs to the model. */
  weight(name: string, dtype: DType, shape: readonly number[], data: WeightData): Var {
    const value = this.#value(name, dtype, shape, null);
    this.weights.push({ value, data });
    return value;
  }

  /** A small tensor written into the model itself; equal constants are shared. */
  constant(dtype: "float32" | "float64" | "int64" | "bool", shape: readonly number[], values: readonly number[]): Var {
    const texts = values.map((value) => (Object.is(value, -0) ? "-0" : String(value)));
    const key = `${dtype}[${shape.join(",")}]${texts.join(",")}`;
    const known = this.#scalars.get(key) ?? this.parent?.constantNamed(key);
    if (known) return known;
    const data =
      dtype === "int64"
        ? BigInt64Array.from(values, BigInt)
        : dtype === "bool"
          ? Uint8Array.from(values)
          : dtype === "float64"
            ? Float64Array.from(values)
            : Float32Array.from(values);
    const value = this.weight(this.#fresh("const"), dtype, shape, {
      kind: "inline",
      tensor: hostTensor(dtype, shape, data),
    });
    this.#scalars.set(key, value);
    return value;
  }

  /** A constant of this graph or one around it, by its key. */
  constantNamed(key: string): Var | undefined {
    return this.#scalars.get(key) ?? this.parent?.constantNamed(key);
  }

  /** A value of a surrounding graph, as this branch sees it. Operations on it become nodes of the branch. */
  capture(value: Var): Var {
    if (!isInside(this, value.graph)) throw new GraphError(`graph ${this.name} does not see ${value.name}`);
    // The name is looked up later, because the value may still get its public name.
    return {
      graph: this,
      get name() {
        return value.name;
      },
      dtype: value.dtype,
      shape: value.shape,
      producer: null,
    };
  }

  /** Marks a value as a result, under its name for fetching. A value gets its name here unless it has one already. */
  output(value: Var, name?: string): void {
    if (name !== undefined && value.name !== name) this.rename(value, name);
    this.outputs.push(value);
  }

  /** Gives a value its public name; results are produced under their final name, without an Identity. */
  rename(value: Var, name: string): void {
    if (this.#names.has(name)) throw new GraphError(`graph ${this.name}: the name ${name} is taken`);
    this.#names.add(name);
    (value as { name: string }).name = name;
  }

  /**
   * Adds a node. The functions in `ops/` call it after they have checked the operands.
   * @param results dtype and shape of each output; `null` for an optional output that is not wanted.
   */
  node(
    op: string,
    inputs: readonly (Var | null)[],
    results: readonly { readonly dtype: DType; readonly shape: Shape; readonly name?: string }[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain: Node["domain"] = "",
  ): readonly Var[] {
    for (const input of inputs)
      if (input && !isInside(this, input.graph)) fail(op, `${input.name} belongs to another graph`);
    const node: { -readonly [K in keyof Node]: Node[K] } = {
      op,
      domain,
      inputs,
      outputs: [],
      attributes,
      site: callSite(),
    };
    node.outputs = results.map(({ dtype, shape, name }) => this.#value(name ?? this.#fresh(op), dtype, shape, node));
    this.nodes.push(node);
    return node.outputs;
  }

  /** One more result of a node of this graph: an optional output that no caller wanted when the node was built. */
  addOutput(node: Node, dtype: DType, shape: Shape): Var {
    const value = this.#value(this.#fresh(node.op), dtype, shape, node);
    (node as { outputs: readonly Var[] }).outputs = [...node.outputs, value];
    return value;
  }

  #value(name: string, dtype: DType, shape: Shape, producer: Node | null): Var {
    if (this.#names.has(name)) throw new GraphError(`graph ${this.name}: the name ${name} is taken`);
    this.#names.add(name);
    return { graph: this, name, dtype, shape, producer };
  }

  #fresh(op: string): string {
    let index = this.#names.size;
    while (this.#names.has(`${op.toLowerCase()}_${index}`)) index++;
    return `${op.toLowerCase()}_${index}`;
  }
}

/** The graph for an operation on these values: the innermost of their graphs. */
export function graphOf(...values: readonly (Var | null)[]): Graph {
  let innermost: Graph | null = null;
  for (const value of values) if (value && (!innermost || isInside(value.graph, innermost))) innermost = value.graph;
  return innermost ?? fail("graph", "an operation without operands");
}

/** Whether `graph` is `outer` or nested in it. */
function isInside(graph: Graph, outer: Graph): boolean {
  for (let at: Graph | null = graph; at; at = at.parent) if (at === outer) return true;
  return false;
}

/** Throws a GraphError that names the operation and the line that called it. */
export function fail(op: string, problem: string): never {
  throw new GraphError(`${op} at ${callSite()}: ${problem}`);
}

/** Fails unless the value has this dtype. */
export function expectDtype(op: string, label: string, value: Var, ...allowed: readonly DType[]): void {
  if (!allowed.includes(value.dtype)) fail(op, `${label} is ${value.dtype}, wanted ${allowed.join(" or ")}`);
}

/** Fails unless the value has this rank. */
export function expectRank(op: string, label: string, value: Var, rank: number): void {
  if (value.shape.length !== rank) fail(op, `${label} is ${formatShape(value.shape)}, wanted ${rank} dimensions`);
}

/** Fails unless the value has exactly this shape. */
export function expectShape(op: string, label: string, value: Var, shape: Shape): void {
  if (!sameShape(value.shape, shape)) fail(op, `${label} is ${formatShape(value.shape)}, wanted ${formatShape(shape)}`);
}

/** A dimension that must be a number here. */
export function fixedDim(op: string, label: string, dim: Dim | undefined): number {
  if (typeof dim !== "number") fail(op, `${label} has to be a number, is ${String(dim)}`);
  return dim;
}
