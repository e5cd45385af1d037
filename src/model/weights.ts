/**
 * Converts a checkpoint's tensors to values of a graph. Tensors stay in their file, in its dtype.
 * Casts, joins and transpositions are nodes over constants, which the runtime folds once when the session opens.
 * Quantised weights are made when the graph is written, one at a time.
 */
import type { Graph, Var, WeightData } from "../graph/graph.ts";
import { add, cast, mul, sub } from "../graph/ops/elementwise.ts";
import { linear, quantizedLinear } from "../graph/ops/linear.ts";
import { concat, gatherRows, reshape, unsqueeze } from "../graph/ops/shaping.ts";
import type { DType } from "../tensor/dtype.ts";
import { type HostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import type { LinearGroup } from "./linears.ts";
import { quantizeWeightRows } from "./serve/quantize.ts";
import {
  type MatrixPart,
  type QuantizedLayout,
  type QuantizedMatrix,
  copyRows,
  emptyMatrix,
  partShapes,
  partTensor,
  partsOf,
} from "./serve/quantized-matrix.ts";
import { LM_HEAD_GROUP } from "./serve/weight-layouts.ts";
import { EMBEDDING, LM_HEAD, linearBias, linearWeight } from "./weight-names.ts";

/** A tensor in a file beside the graph. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Empty where no file has the values in this form. No graph can refer to them then. */
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** The checkpoint's tensors, as references for the graph and as values. */
export interface TensorSource {
  has(name: string): boolean;
  /** @throws where no tensor has that name */
  stored(name: string): StoredTensor;
  read(name: string): Promise<HostTensor>;
  /** Whether a matrix in the graph has exactly the numbers of the tensor. */
  keeps?(name: string): boolean;
  /** The numbers of a tensor in this layout; null or absent: they are made here from those that `read` gives. */
  readQuantized?(name: string, layout: QuantizedLayout): Promise<QuantizedMatrix> | null;
}

/** Some rows of a weight that is quantised when the graph is written. The rows are read only then. */
export interface RowsToQuantize {
  readonly count: number;
  /** float32 [count,dIn] */
  readonly read: () => Promise<Float32Array>;
  /** The same rows in this layout; null or absent: they are made from those that `read` gives. */
  readonly readQuantized?: (layout: QuantizedLayout) => Promise<QuantizedMatrix> | null;
}

/** The storage of linear layers in a graph. "stored" is the checkpoint's own dtype, computed in float32. */
export type WeightFormat = { readonly kind: "stored" } | ({ readonly kind: "quantized" } & QuantizedLayout);

/** The quantised parts of a group that a file already contains. */
export type KnownWeights = (name: string) => StoredTensor | undefined;

export class GraphWeights {
  readonly #graph: Graph;
  readonly #source: TensorSource;
  readonly #known: KnownWeights;
  readonly #stored = new Map<string, Var>();
  readonly #matrices = new Map<string, ReadonlyMap<MatrixPart, Var>>();

  constructor(graph: Graph, source: TensorSource, known: KnownWeights = () => undefined) {
    this.#graph = graph;
    this.#source = source;
    this.#known = known;
  }

  has(name: string): boolean {
    return this.#source.has(name);
  }

  /** A tensor as stored, in its own dtype. */
  stored(name: string): Var {
    let value = this.#stored.get(name);
    if (!value) {
      value = fromFile(this.#graph, name, this.#source.stored(name));
      this.#stored.set(name, value);
    }
    return value;
  }

  /** A tensor as float32. */
  float32(name: string): Var {
    return cast(this.stored(name), "float32");
  }

  /**
   * Rows of the embedding, float32 [M,C]. They are read from the vocabulary projection's levels, if these are the same
   * numbers. @param ids flat. @param format of the vocabulary projection
   */
  embeddingRows(ids: Var, format: WeightFormat): Var {
    const isSame = !this.has(LM_HEAD) && this.#source.keeps?.(EMBEDDING) === true;
    if (!isSame || format.kind !== "quantized" || !readsRowsOfLevels(format))
      return cast(gatherRows(this.stored(EMBEDDING), ids), "float32");
    const dIn = this.#source.stored(EMBEDDING).shape[1] ?? 0;
    const parts = this.#quantized(LM_HEAD_GROUP, [this.#rowsToQuantize(EMBEDDING)], dIn, format);
    // Every layout has the parts that are read here, hence `!`.
    const part = (name: MatrixPart): Var => cast(gatherRows(parts.get(name)!, ids), "float32");
    const levels = sub(part("packed"), this.#graph.constant("float32", [], [MIDDLE_LEVEL]));
    return reshape(mul(levels, unsqueeze(part("scales"), 2)), [ids.shape[0]!, dIn]); // ids are flat
  }

  /** The product of a group: x float32 [M,dIn] → [M,dOut], biases included. */
  linearGroup(x: Var, group: LinearGroup, format: WeightFormat): Var {
    const bias = this.groupBias(group);
    const names = group.members.map((member) => linearWeight(member.name));
    return this.product(x, group.name, names, bias, format);
  }

  /** x @ [W₁; W₂; …]ᵀ + bias for tensors [nᵢ,dIn] of the checkpoint. `name` is the prefix of weights made for it. */
  product(x: Var, name: string, tensors: readonly string[], bias: Var | null, format: WeightFormat): Var {
    if (format.kind === "stored") {
      return linear(
        x,
        concat(
          tensors.map((tensor) => this.float32(tensor)),
          0,
        ),
        bias,
      );
    }
    const rows = tensors.map((tensor) => this.#rowsToQuantize(tensor));
    const y = this.quantizedProduct(x, name, rows, format);
    return bias ? add(y, bias) : y;
  }

  /**
   * x @ Wᵀ with W quantised, where W concatenates these rows: x float32 [M,dIn] → [M, sum of the counts]. `name` as in
   * `product`.
   */
  quantizedProduct(x: Var, name: string, rows: readonly RowsToQuantize[], format: QuantizedLayout): Var {
    const dIn = x.shape.at(-1);
    if (typeof dIn !== "number") throw new Error(`internal: ${name} is multiplied by a value of unknown width`);
    const parts = this.#quantized(name, rows, dIn, format);
    const float32 = (part: MatrixPart): Var | null => {
      const value = parts.get(part);
      return value ? cast(value, "float32") : null;
    };
    const [packed, scales] = [parts.get("packed")!, float32("scales")!]; // every layout has them
    const weight = { packed, scales, zeroPoints: parts.get("zeroPoints") ?? null, minimums: float32("minimums") };
    return quantizedLinear(x, weight, format);
  }

  /** The biases of a group side by side, float32 [dOut]; null where it has none. */
  groupBias(group: LinearGroup): Var | null {
    if (!group.members.some((member) => member.hasBias)) return null;
    return concat(
      group.members.map((member) => this.float32(linearBias(member.name))),
      0,
    );
  }

  #rowsToQuantize(tensor: string): RowsToQuantize {
    return {
      count: this.#source.stored(tensor).shape[0] ?? 0,
      read: async () => toFloat32(await this.#source.read(tensor)),
      readQuantized: (layout) => this.#source.readQuantized?.(tensor, layout) ?? null,
    };
  }

  /**
   * The parts of a weight as values of the graph, each in its file's type. A weight that is used twice has them once.
   */
  #quantized(
    name: string,
    rows: readonly RowsToQuantize[],
    dIn: number,
    layout: QuantizedLayout,
  ): ReadonlyMap<MatrixPart, Var> {
    const known = this.#matrices.get(name) ?? this.#newMatrix(name, rows, dIn, layout);
    this.#matrices.set(name, known);
    return known;
  }

  #newMatrix(
    name: string,
    rows: readonly RowsToQuantize[],
    dIn: number,
    layout: QuantizedLayout,
  ): ReadonlyMap<MatrixPart, Var> {
    const dOut = rows.reduce((sum, { count }) => sum + count, 0);
    const shapes = partShapes(dOut, dIn, layout);
    const parts = partsOf(layout);
    // All parts come from one pass over the weight, and the writer requests them one after another.
    let pending: Promise<QuantizedMatrix> | null = null;
    const make = async (part: MatrixPart): Promise<HostTensor> => {
      const made = await (pending ??= quantize(rows, dOut, dIn, layout));
      if (part === parts.at(-1)) pending = null;
      return partTensor(made, part);
    };
    const value = (part: MatrixPart): Var => {
      const partName = quantizedPartName(name, layout, part);
      const known = this.#known(partName);
      if (known) return fromFile(this.#graph, partName, known);
      const isBytes = part === "packed" || part === "zeroPoints";
      const shape = part === "minimums" ? shapes.scales : shapes[part];
      const data: WeightData = { kind: "made", make: () => make(part) };
      return this.#graph.weight(partName, isBytes ? "uint8" : layout.scaleType, shape, data);
    };
    return new Map(parts.map((part) => [part, value(part)]));
  }
}

/** The level of 8 bits that stands for 0. */
const MIDDLE_LEVEL = 128;

/** Whether rows of a matrix in this layout can be read from its levels and scales. */
export function readsRowsOfLevels({ bits, hasZeroPoints, hasMinimums }: QuantizedLayout): boolean {
  return bits === 8 && !hasZeroPoints && !hasMinimums;
}

const PART_NAME = /^(.*)\.int[48]\.\d+\.(packed|scales|zeroPoints|minimums)$/;

/** The name of a part of a group's weight in the serving graph. */
export function quantizedPartName(name: string, { bits, blockSize }: QuantizedLayout, part: MatrixPart): string {
  return `${name}.int${bits}.${blockSize}.${part}`;
}

/** The group (or `lm_head`) whose quantised part has this name; null for other weights. */
export function groupOfPart(partName: string): string | null {
  return PART_NAME.exec(partName)?.[1] ?? null;
}

async function quantize(
  rows: readonly RowsToQuantize[],
  dOut: number,
  dIn: number,
  layout: QuantizedLayout,
): Promise<QuantizedMatrix> {
  const matrix = emptyMatrix(dOut, dIn, layout);
  let row = 0;
  for (const { count, read, readQuantized } of rows) {
    const known = readQuantized?.(layout) ?? null;
    if (known) copyRows(await known, matrix, row);
    else quantizeWeightRows(await read(), matrix, row);
    row += count;
  }
  return matrix;
}

/** A weight of the graph that is stored in a file. */
export function fromFile(graph: Graph, name: string, tensor: StoredTensor): Var {
  const { dtype, shape, location, offset, length } = tensor;
  return graph.weight(name, dtype, shape, { kind: "file", location, offset, length });
}
