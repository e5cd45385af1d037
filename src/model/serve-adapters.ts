/**
 * The adapters' part of the serving graph: what the step's Mo-SARA, SARA and LoRA rows add to the outputs of the linear layers.
 * Everything is behind switches, so that a step pays for what its rows have.
 */
import type { Graph, Var } from "../graph/graph.ts";
import { ifElse } from "../graph/ops/control.ts";
import { add } from "../graph/ops/elementwise.ts";
import { type QuantizedFormat, matMul } from "../graph/ops/linear.ts";
import { concat, pad, reshape, reshapeLike, slice, split, transpose } from "../graph/ops/shaping.ts";
import { lowRankDelta } from "../adapter/low-rank.ts";
import { type BasisProducts, gates, mixHeads, moSaraDelta } from "../adapter/mo-sara.ts";
import { type HostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import type { AdapterLayout, GroupLayout, TargetPlace } from "./adapter-layout.ts";
import type { Finish } from "./decoder.ts";
import type { LinearGroup } from "./linears.ts";
import {
  HAS_MO_SARA,
  HAS_ROUTERS,
  HEAD_MASK,
  type Port,
  ROWS,
  groupPorts,
  hasLowRankPort,
  headsPort,
  lowRankPorts,
  routersPort,
} from "./ports.ts";
import { type GraphWeights, type RowsToQuantize, type StoredTensor, type WeightFormat, fromFile } from "./weights.ts";

/** A target's basis as it lies in a file: U float32 [dOut,k], V float32 [dIn,k]. */
export interface StoredBasis {
  readonly name: string;
  readonly k: number;
  readonly left: StoredTensor;
  readonly right: StoredTensor;
  /** V itself. */
  readonly readRight: () => Promise<HostTensor>;
}

/** Makes `finish` of a group's output y and the deltas of the step's adapters; what no row has is skipped. */
type Adapt = (x: Var, y: Var, group: LinearGroup, finish: Finish) => Var;

interface AdapterPartOptions {
  readonly bases: readonly StoredBasis[];
  readonly formatOf: (name: string) => WeightFormat;
}

/** @param inputIds int64 [B,T] */
export function adapterPart(
  options: AdapterPartOptions,
  layout: AdapterLayout,
  weights: GraphWeights,
  inputIds: Var,
): Adapt {
  const { graph } = inputIds;
  const moSara = moSaraPart(graph, options, layout, weights);
  const lowRank = lowRankPart(graph, inputIds);
  return (x, y, group, finish) => {
    const delta = lowRank(group);
    const addLowRank = (x2: Var, y2: Var): Var =>
      ifElse(
        delta.condition,
        [x2, y2],
        (x3, y3) => finish(add(y3!, delta.of(x3!))),
        (_, y3) => finish(y3!),
      );
    const own = moSara(group);
    if (!own) return addLowRank(x, y);
    return ifElse(
      own.condition,
      [x, y],
      (x2, y2) => addLowRank(x2!, add(y2!, own.of(x2!))),
      (x2, y2) => addLowRank(x2!, y2!),
    );
  };
}

/** What some kind of adapter adds to a group's output, to be built inside of a branch: x as the branch sees it → [B·T, dOut]. */
interface Delta {
  /** bool scalar: whether any row of the step has one. */
  readonly condition: Var;
  readonly of: (x: Var) => Var;
}

/** Mo-SARA's delta on the groups that have targets; null on others. */
function moSaraPart(
  graph: Graph,
  options: AdapterPartOptions,
  layout: AdapterLayout,
  weights: GraphWeights,
): (group: LinearGroup) => Delta | null {
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const condition = input(HAS_MO_SARA);
  const hasRouters = input(HAS_ROUTERS);
  const heads = input(headsPort(layout.totalK));
  const routers = input(routersPort(layout.totalK));
  const mask = input(HEAD_MASK);
  const byGroup = new Map(layout.groups.map((one) => [one.group.name, one]));
  return ({ name }) => {
    const at = byGroup.get(name);
    if (!at) return null;
    const ports = groupPorts(at);
    const gains = input(ports.gains);
    const scale = input(ports.scale);
    const basis = groupBasis(graph, at, options, weights);
    const gainsOf = (z: Var): Var =>
      ifElse(
        hasRouters,
        [z, gains],
        (z2, gains2) => routedGains(at, z2!, gains2!, heads, routers, mask),
        (_, plain) => plain!,
      );
    return { condition, of: (x) => moSaraDelta(x, basis, gainsOf, scale) };
  };
}

/** The low-rank delta, on any group. */
function lowRankPart(graph: Graph, inputIds: Var): (group: LinearGroup) => Delta {
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const conditions = new Map<string, Var>();
  return (group) => {
    const ports = lowRankPorts(group);
    const [down, up] = [input(ports.down), input(ports.up)];
    const condition = conditions.get(group.part) ?? input(hasLowRankPort(group.part));
    conditions.set(group.part, condition);
    const of = (x: Var): Var =>
      reshape(lowRankDelta(reshapeLike(x, inputIds, [group.dIn]), down, up), [ROWS, group.dOut]);
    return { condition, of };
  };
}

/** λ of a step with routed rows: plain rows have it in `gains`, routed ones in their heads; the other part is zero. */
function routedGains(at: GroupLayout, z: Var, gains: Var, heads: Var, routers: Var, mask: Var): Var {
  const { graph } = z; // the branch's: slices of inputs would otherwise be taken outside of it, routed rows or not
  const mixed = at.targets.map((target) => {
    const from = at.headsAt + target.gainsAt;
    const router = slice(graph.capture(routers), 1, from, from + target.k);
    const gate = gates(slice(z, 1, target.gainsAt, target.gainsAt + target.k), router, mask);
    return mixHeads(gate, slice(graph.capture(heads), 2, from, from + target.k));
  });
  return add(gains, concat(mixed, 1));
}

/**
 * The products with the bases of a group's targets. V: all of them side by side, since they read the same x; in blocks where the
 * weights are (memory counts at few rows). U: one product a target, float32, since its inner size is only k, where products of blocks
 * are slow (measured); each spans the columns from the target before it to its own end, the last one to the end of the output.
 */
function groupBasis(
  graph: Graph,
  at: GroupLayout,
  { bases, formatOf }: AdapterPartOptions,
  weights: GraphWeights,
): BasisProducts {
  const parts = at.targets.map((target, i) => {
    const basis = bases.find((one) => one.name === target.name);
    if (!basis) throw new Error(`internal: no basis for ${target.name}`);
    const previous = at.targets[i - 1];
    const from = previous ? previous.scaleAt + previous.dOut : 0;
    const end = target.scaleAt + target.dOut;
    const to = i === at.targets.length - 1 ? at.group.dOut : end;
    const left = transpose(fromFile(graph, `${target.name}.U`, basis.left), [1, 0]);
    return { target, basis, left: pad(left, [0, target.scaleAt - from], [0, to - end]) };
  });
  const isQuantized = formatOf(at.group.name).kind === "quantized";
  return {
    project: isQuantized
      ? (x) => weights.quantizedProduct(x, `${at.group.name}.V`, parts.map(rowsOfRight), BASIS_FORMAT)
      : storedProjection(graph, parts),
    expand: (z) => {
      const own = split(
        z,
        parts.map(({ target }) => target.k),
        1,
      );
      return concat(
        parts.map(({ left }, i) => matMul(own[i]!, left)), // as many as there are parts
        1,
      );
    },
  };
}

/**
 * How V is held where weights are quantised: int8 beside int4 weights too, where it costs next to nothing in accuracy, and int4 would
 * cost an eighth of what the weights' own rounding does (measured on a trained model: docs/log.md).
 */
const BASIS_FORMAT: QuantizedFormat = { bits: 8, blockSize: 128, accuracyLevel: 4 };

interface BasisPart {
  readonly target: TargetPlace;
  readonly basis: StoredBasis;
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
