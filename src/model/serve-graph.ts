/**
 * The serving graph: token ids in, logits of the wanted rows out, the KV cache written in place, and an adapter in every row.
 * Without targets there is no adapter part at all: the bare base, and merged models.
 */
import { Graph, type Var } from "../graph/graph.ts";
import { add, cast } from "../graph/ops/elementwise.ts";
import { ifElse } from "../graph/ops/control.ts";
import { concat, gatherRows, pad, reshape, reshapeLike, slice, transpose } from "../graph/ops/shaping.ts";
import { lowRankDelta } from "../adapter/low-rank.ts";
import { type BasisVars, gates, mixHeads, moSaraDelta } from "../adapter/mo-sara.ts";
import { type AdapterLayout, type GroupLayout, adapterLayout } from "./adapter-layout.ts";
import { cachedAttention, needsPositionIds } from "./attention.ts";
import { cappedLogits, decoderLayers, finalNorm, scaledEmbedding } from "./decoder.ts";
import { type LinearGroup, allGroups } from "./linears.ts";
import type { ModelConfig } from "./model-config.ts";
import {
  HAS_ADAPTERS,
  HAS_LOW_RANK,
  HAS_ROUTERS,
  HEAD_MASK,
  INPUT_IDS,
  LOGIT_ROWS,
  POSITION_IDS,
  type Port,
  ROWS,
  groupPorts,
  headsPort,
  logitsPort,
  lowRankPorts,
  routersPort,
} from "./ports.ts";
import { EMBEDDING, LM_HEAD } from "./weight-names.ts";
import {
  GraphWeights,
  type KnownWeights,
  type StoredTensor,
  type TensorSource,
  type WeightFormat,
  fromFile,
} from "./weights.ts";

/** A target's basis as it lies in a file: U float32 [dOut,k], V float32 [dIn,k]. */
export interface StoredBasis {
  readonly name: string;
  readonly k: number;
  readonly left: StoredTensor;
  readonly right: StoredTensor;
}

export interface ServeGraphOptions {
  readonly config: ModelConfig;
  readonly source: TensorSource;
  /** How a group's weights are held; `lmHead` is asked for by that name. */
  readonly formatOf: (name: string) => WeightFormat;
  /** Bases of the targets; empty: a graph without adapters. */
  readonly bases: readonly StoredBasis[];
  /** Quantised weights that a file holds already. */
  readonly known?: KnownWeights;
}

/** Name under which `formatOf` is asked for the vocabulary projection. */
const LM_HEAD_GROUP = "lm_head";

export function buildServeGraph({ config, source, formatOf, bases, known }: ServeGraphOptions): Graph {
  const graph = new Graph("serve");
  const weights = new GraphWeights(graph, source, known);
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const inputIds = input(INPUT_IDS);
  const logitRows = input(LOGIT_ROWS);
  const positionIds = needsPositionIds(config) ? input(POSITION_IDS) : null;
  const attend = cachedAttention(graph, config, inputIds, positionIds);
  const layout = adapterLayout(allGroups(config), bases);
  const adapt = layout.groups.length > 0 ? adapterPart(graph, layout, bases, inputIds) : null;

  const parts = {
    tensor: (name: string): Var => weights.float32(name),
    linear: (x: Var, group: LinearGroup): Var => {
      const y = weights.linearGroup(x, group, formatOf(group.name));
      return adapt ? adapt(x, y, group) : y;
    },
    attend,
  };
  const rows = cast(gatherRows(weights.stored(EMBEDDING), reshape(inputIds, [ROWS])), "float32");
  const embedded = scaledEmbedding(config, rows, positionIds, parts.tensor);
  const hidden = gatherRows(decoderLayers(config, embedded, parts), logitRows);
  const head = weights.has(LM_HEAD) ? LM_HEAD : EMBEDDING;
  const logits = weights.product(
    finalNorm(config, hidden, parts),
    LM_HEAD_GROUP,
    [head],
    null,
    formatOf(LM_HEAD_GROUP),
  );
  graph.output(cappedLogits(config, logits), logitsPort(config.vocabSize).name);
  return graph;
}

/** Adds the deltas of the step's adapters to a group's output; skipped where no row has one. */
function adapterPart(
  graph: Graph,
  layout: AdapterLayout,
  bases: readonly StoredBasis[],
  inputIds: Var,
): (x: Var, y: Var, group: LinearGroup) => Var {
  const addMoSara = moSaraPart(graph, layout, bases);
  const addLowRank = lowRankPart(graph, inputIds);
  const hasAdapters = graph.input(HAS_ADAPTERS.name, HAS_ADAPTERS.dtype, HAS_ADAPTERS.shape);
  return (x, y, group) => {
    const lowRank = addLowRank(group);
    const moSara = addMoSara(group);
    if (!moSara) return ifElse(lowRank.condition, [x, y, ...lowRank.captured], lowRank.apply, (_, plain) => plain!);
    const numOwn = moSara.captured.length;
    const captured = [x, y, lowRank.condition, ...moSara.captured, ...lowRank.captured];
    const adapted = (...[x2, y2, hasLowRank, ...rest]: Var[]): Var => {
      const adaptedOnce = moSara.apply(x2!, y2!, ...rest.slice(0, numOwn));
      const operands = [x2!, adaptedOnce, ...rest.slice(numOwn)];
      return ifElse(hasLowRank!, operands, lowRank.apply, (_, plain) => plain!);
    };
    return ifElse(hasAdapters, captured, adapted, (_, plain) => plain!);
  };
}

/** A part of the graph that is built inside a branch: what it needs from outside, and what it makes of x and y. */
interface BranchPart {
  readonly captured: readonly Var[];
  readonly apply: (x: Var, y: Var, ...captured: Var[]) => Var;
}

/** y + Mo-SARA's delta on the groups that have targets. */
function moSaraPart(
  graph: Graph,
  layout: AdapterLayout,
  bases: readonly StoredBasis[],
): (group: LinearGroup) => BranchPart | null {
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const hasRouters = input(HAS_ROUTERS);
  const heads = input(headsPort(layout.totalK));
  const routers = input(routersPort(layout.totalK));
  const mask = input(HEAD_MASK);
  const byGroup = new Map(layout.groups.map((one) => [one.group.name, one]));
  return ({ name }) => {
    const at = byGroup.get(name);
    if (!at) return null;
    const ports = groupPorts(at);
    const basis = groupBasis(graph, at, bases);
    return {
      captured: [input(ports.gains), input(ports.scale), basis.left, basis.right, hasRouters, heads, routers, mask],
      apply: (x, y, ...[gains, scale, left, right, routed, allHeads, allRouters, headMask]) => {
        const gainsOf = (z: Var): Var =>
          ifElse(
            routed!,
            [z, gains!, allHeads!, allRouters!, headMask!],
            (...values) => routedGains(at, ...(values as [Var, Var, Var, Var, Var])),
            (_, plain) => plain!,
          );
        return add(y, moSaraDelta(x, { left: left!, right: right! }, gainsOf, scale!));
      },
    };
  };
}

/** y + the low-rank delta, on any group. */
function lowRankPart(graph: Graph, inputIds: Var): (group: LinearGroup) => BranchPart & { readonly condition: Var } {
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const condition = input(HAS_LOW_RANK);
  return (group) => {
    const ports = lowRankPorts(group);
    return {
      condition,
      captured: [inputIds, input(ports.down), input(ports.up)],
      apply: (x, y, ...[ids, down, up]) => {
        const delta = lowRankDelta(reshapeLike(x, ids!, [group.dIn]), down!, up!);
        return add(y, reshape(delta, [ROWS, group.dOut]));
      },
    };
  };
}

/** λ of a step with routed rows: plain rows have it in `gains`, routed ones in their heads; the other part is zero. */
function routedGains(at: GroupLayout, z: Var, gains: Var, heads: Var, routers: Var, mask: Var): Var {
  const mixed = at.targets.map((target) => {
    const from = at.headsAt + target.gainsAt;
    const router = slice(routers, 1, from, from + target.k);
    const gate = gates(slice(z, 1, target.gainsAt, target.gainsAt + target.k), router, mask);
    return mixHeads(gate, slice(heads, 2, from, from + target.k));
  });
  return add(gains, concat(mixed, 1));
}

/** Bases of a group's targets as one: V side by side, Uᵀ below each other at their columns of the group's output. */
function groupBasis(graph: Graph, at: GroupLayout, bases: readonly StoredBasis[]): BasisVars {
  const rights: Var[] = [];
  const lefts: Var[] = [];
  for (const target of at.targets) {
    const basis = bases.find((one) => one.name === target.name);
    if (!basis) throw new Error(`internal: no basis for ${target.name}`);
    rights.push(fromFile(graph, `${target.name}.V`, basis.right));
    const left = transpose(fromFile(graph, `${target.name}.U`, basis.left), [1, 0]);
    lefts.push(pad(left, [0, target.scaleAt], [0, at.group.dOut - target.scaleAt - target.dOut]));
  }
  return { right: concat(rights, 1), left: concat(lefts, 0) };
}
