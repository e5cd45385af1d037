/**
 * The adapters' part of the serving graph: the terms that the step's
 * Mo-SARA, SARA and LoRA rows add to the outputs of linear layers.
 * All parts have switches, so that a step only pays for the adapters of its rows.
 */
import type { Graph, Var } from "../../graph/graph.ts";
import { ifElse } from "../../graph/ops/control.ts";
import { add, mul, sum } from "../../graph/ops/elementwise.ts";
import { concat, reshape, reshapeLike, sizesLike, slice } from "../../graph/ops/shaping.ts";
import { lowRankDelta } from "../../adapter/low-rank.ts";
import { gates, mixHeads, moSaraDelta } from "../../adapter/mo-sara.ts";
import type { AdapterLayout, GroupLayout } from "../adapter-layout.ts";
import type { Finish } from "../decoder.ts";
import type { LinearGroup } from "../linears.ts";
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
} from "../ports.ts";
import { type BasisOptions, groupBasis } from "./serve-bases.ts";
import type { GraphWeights } from "../weights.ts";

/** Builds `finish` of a group's output y plus the deltas of the step's adapters. Kinds that no row has are skipped. */
type Adapt = (x: Var, y: Var, group: LinearGroup, finish: Finish) => Var;

/** @param inputIds int64 [B,T] */
export function adapterPart(options: BasisOptions, layout: AdapterLayout, weights: GraphWeights, inputIds: Var): Adapt {
  const { graph } = inputIds;
  const moSara = moSaraPart(graph, options, layout, weights);
  const lowRank = lowRankPart(graph, inputIds);
  return (x, y, group, finish) => {
    const delta = lowRank(group);
    // Sums are made in the innermost branches, because a branch without work copies its input.
    const addLowRank = (x2: Var, terms: readonly Var[]): Var =>
      ifElse(
        delta.condition,
        [x2, ...terms],
        (x3, ...own) => finish(add(sum(own), delta.of(x3!, own[0]!))),
        (_, ...own) => finish(sum(own)),
      );
    const own = moSara(group);
    if (!own) return addLowRank(x, [y]);
    return ifElse(
      own.condition,
      [x, y],
      (x2, y2) => addLowRank(x2!, [y2!, own.of(x2!, y2!)]),
      (x2, y2) => addLowRank(x2!, [y2!]),
    );
  };
}

/**
 * Builds the term that a kind of adapter adds to a group's output y,
 * inside a branch: x and y as the branch sees them → [B·T, dOut].
 */
interface Delta {
  /** bool scalar: whether any row of the step has an adapter of this kind. */
  readonly condition: Var;
  readonly of: (x: Var, y: Var) => Var;
}

/** Mo-SARA's delta on the groups that have targets; null on others. */
function moSaraPart(
  graph: Graph,
  options: BasisOptions,
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
    const weigh = (z: Var): Var =>
      ifElse(
        hasRouters,
        [z, gains],
        (z2, gains2) => mul(z2!, routedGains(at, z2!, gains2!, heads, routers, mask)),
        // inside, because a branch that returned the gains themselves would copy them
        (z2, gains2) => mul(z2!, gains2!),
      );
    return { condition, of: (x, y) => moSaraDelta(basis.readsOutput ? y : x, basis, weigh, scale) };
  };
}

/** The low-rank delta, on any group. */
function lowRankPart(graph: Graph, inputIds: Var): (group: LinearGroup) => Delta {
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const conditions = new Map<string, Var>();
  const sizes = new Map<number, Var>(); // by dIn, because every group would otherwise compute its own
  return (group) => {
    const ports = lowRankPorts(group);
    const [down, up] = [input(ports.down), input(ports.up)];
    const condition = conditions.get(group.part) ?? input(hasLowRankPort(group.part));
    conditions.set(group.part, condition);
    const inputSizes = sizes.get(group.dIn) ?? sizesLike(inputIds, [group.dIn]);
    sizes.set(group.dIn, inputSizes);
    const of = (x: Var): Var => {
      const bySequence = reshapeLike(x, inputIds, [group.dIn], inputSizes);
      return reshape(lowRankDelta(bySequence, down, up), [ROWS, group.dOut]);
    };
    return { condition, of };
  };
}

/**
 * λ of a step with routed rows. Plain rows have λ in `gains`, and routed rows in their heads. The other part is zero.
 */
function routedGains(at: GroupLayout, z: Var, gains: Var, heads: Var, routers: Var, mask: Var): Var {
  // The branch's graph: slices of inputs would otherwise run outside it, with or without routed rows.
  const { graph } = z;
  const mixed = at.targets.map((target) => {
    const from = at.headsAt + target.gainsAt;
    const router = slice(graph.capture(routers), 1, from, from + target.k);
    const gate = gates(slice(z, 1, target.gainsAt, target.gainsAt + target.k), router, mask);
    return mixHeads(gate, slice(graph.capture(heads), 2, from, from + target.k));
  });
  return add(gains, concat(mixed, 1));
}
