/**
 * A base's frozen bases in the serving graph: the storage of U and
 * V, and the products z = Vᵀx and Uz of a group of linear layers.
 * Knows nothing of λ, v, routers and rows.
 */
import type { BasisProducts } from "../../adapter/mo-sara.ts";
import type { Graph, Var } from "../../graph/graph.ts";
import { sub } from "../../graph/ops/elementwise.ts";
import { matMul } from "../../graph/ops/linear.ts";
import { concat, pad, split, transpose } from "../../graph/ops/shaping.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../../tensor/host-tensor.ts";
import type { GroupLayout, TargetPlace } from "../adapter-layout.ts";
import { plainLayout } from "./quantized-matrix.ts";
import { type GraphWeights, type RowsToQuantize, type StoredTensor, type WeightFormat, fromFile } from "../weights.ts";

/** A target's stored basis: U float32 [dOut,k], V float32 [dIn,k]. */
export interface StoredBasis {
  readonly name: string;
  readonly k: number;
  readonly left: StoredTensor;
  readonly right: StoredTensor;
  /** V itself. */
  readonly readRight: () => Promise<HostTensor>;
}

/** A basis in the form that the serving graph needs. */
export interface ServedBasis extends StoredBasis {
  /** σ of its directions [k]. */
  readonly sigma: Float32Array;
  /** Whether σ of every direction is at least the root mean square of all singular values of the weight. */
  readonly isStrong: boolean;
  /** U itself. */
  readonly readLeft: () => Promise<HostTensor>;
}

export interface BasisOptions {
  readonly bases: readonly ServedBasis[];
  readonly formatOf: (name: string) => WeightFormat;
}

/** The products with a group's bases. */
export interface GroupBasis extends BasisProducts {
  /** Whether z is computed from the layer's output y instead of its input. */
  readonly readsOutput: boolean;
}

/**
 * The products with the bases of a group's targets. V: all targets side by side, because they read the same x. It is in
 * blocks if the weights are, because memory decides the speed at few rows. U: one float32 product for each target. Its
 * inner size is only k, where products of blocks are slow (measured). Each spans the columns from the previous target
 * to its own end; the last one extends to the end of the output.
 */
export function groupBasis(
  graph: Graph,
  at: GroupLayout,
  { bases, formatOf }: BasisOptions,
  weights: GraphWeights,
): GroupBasis {
  const parts = at.targets.map((target) => {
    const basis = bases.find((one) => one.name === target.name);
    if (!basis) throw new Error(`internal: no basis for ${target.name}`);
    return { target, basis };
  });
  const readsOutput = parts.every((part) => isCheaperFromOutput(at, part));
  const isQuantized = formatOf(at.group.name).kind === "quantized";
  return {
    readsOutput,
    project: readsOutput
      ? outputProjection(graph, at, parts[0]!, weights) // the group's only member
      : isQuantized
        ? (x) => weights.quantizedProduct(x, `${at.group.name}.V`, parts.map(rowsOfRight), BASIS_LAYOUT)
        : storedProjection(graph, parts),
    expand: expansion(graph, at, parts),
  };
}

/**
 * The storage of V if weights are quantised. It is int8 even beside int4 weights, where it costs almost no accuracy.
 * int4 would add an eighth of the rounding error of the weights (measured on a trained model: docs/log/2026-11.md).
 */
const BASIS_LAYOUT = plainLayout(8, 128);

interface BasisPart {
  readonly target: TargetPlace;
  readonly basis: ServedBasis;
}

/**
 * Whether z is read from a layer's output instead of its input. y = Wx contains z, because Uᵀy = σ ⊙ Vᵀx. This is done
 * where a layer's input is wider than its output (the MLP's down projection), so that U has fewer numbers than V. The
 * rounding error of y is divided by σ in z. It does not grow if σ is at least the root mean square of all singular
 * values.
 */
function isCheaperFromOutput({ group }: GroupLayout, { target, basis }: BasisPart): boolean {
  return group.members.length === 1 && basis.isStrong && 2 * target.dOut <= target.dIn;
}

/** z from y [M,dOut]: (y − bias) · U / σ. */
function outputProjection(
  graph: Graph,
  { group }: GroupLayout,
  { target: { name, dOut, k }, basis }: BasisPart,
  weights: GraphWeights,
): (y: Var) => Var {
  const shape = [dOut, k];
  const make = async (): Promise<HostTensor> => {
    const left = toFloat32(await basis.readLeft());
    return hostTensor(
      "float32",
      shape,
      left.map((value, i) => value / basis.sigma[i % k]!), // σ is [k]
    );
  };
  const inverse = graph.weight(`${name}.inverse`, "float32", shape, { kind: "made", make });
  const bias = weights.groupBias(group);
  if (!bias) return (y) => matMul(y, inverse);
  const constant = matMul(bias, inverse);
  return (y) => sub(matMul(y, inverse), constant);
}

function storedProjection(graph: Graph, parts: readonly BasisPart[]): (x: Var) => Var {
  const rights = parts.map(({ target, basis }) => fromFile(graph, `${target.name}.V`, basis.right));
  const right = concat(rights, 1);
  return (x) => matMul(x, right);
}

/** Vᵀ [k,dIn] of a V that is stored as [dIn,k]. */
function rowsOfRight({ target: { k, dIn }, basis }: BasisPart): RowsToQuantize {
  const read = async (): Promise<Float32Array> => {
    const right = toFloat32(await basis.readRight());
    const rows = new Float32Array(k * dIn);
    for (let i = 0; i < dIn; i++) for (let j = 0; j < k; j++) rows[j * dIn + i] = right[i * k + j] ?? 0;
    return rows;
  };
  return { count: k, read };
}

/** Uz: the parts of z separately, each with its own U. */
function expansion(graph: Graph, { group, targets }: GroupLayout, parts: readonly BasisPart[]): (z: Var) => Var {
  const lefts = parts.map(({ target, basis }, i) => {
    const previous = targets[i - 1];
    const from = previous ? previous.scaleAt + previous.dOut : 0;
    const end = target.scaleAt + target.dOut;
    const to = i === targets.length - 1 ? group.dOut : end;
    const left = transpose(fromFile(graph, `${target.name}.U`, basis.left), [1, 0]);
    return pad(left, [0, target.scaleAt - from], [0, to - end]);
  });
  const ranks = parts.map(({ target }) => target.k);
  return (z) => {
    const own = split(z, ranks, 1);
    return concat(
      lefts.map((left, i) => matMul(own[i]!, left)), // as many as there are parts
      1,
    );
  };
}
