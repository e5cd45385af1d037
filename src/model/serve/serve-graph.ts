/**
 * The serving graph. Inputs: token ids, past keys and values, and an adapter
 * in every row. Outputs: logits of the wanted rows, present keys and values.
 * Without targets it has no adapter part: this is for bases without adapters and for merged models.
 */
import { Graph, type Var } from "../../graph/graph.ts";
import { gatherRows, reshape } from "../../graph/ops/shaping.ts";
import { adapterLayout } from "../adapter-layout.ts";
import { cachedAttention, needsPositionIds } from "../attention.ts";
import { type Finish, cappedLogits, decoderLayers, headInput, scaledEmbedding } from "../decoder.ts";
import { type LinearGroup, allGroups } from "../linears.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { INPUT_IDS, LOGIT_ROWS, POSITION_IDS, type Port, ROWS, logitsPort } from "../ports.ts";
import { adapterPart } from "./serve-adapters.ts";
import type { ServedBasis } from "./serve-bases.ts";
import { EMBEDDING, LM_HEAD } from "../weight-names.ts";
import { LM_HEAD_GROUP } from "./weight-layouts.ts";
import { GraphWeights, type KnownWeights, type TensorSource, type WeightFormat } from "../weights.ts";

export interface ServeGraphOptions {
  readonly config: ModelConfig;
  readonly source: TensorSource;
  /** The storage of a group's weights; the LM head has the name `lmHead`. */
  readonly formatOf: (name: string) => WeightFormat;
  /** Bases of the targets; empty: a graph without adapters. */
  readonly bases: readonly ServedBasis[];
  /** Quantised weights that a file already contains. */
  readonly known?: KnownWeights;
}

export function buildServeGraph(options: ServeGraphOptions): Graph {
  const { config, source, formatOf, bases, known } = options;
  const graph = new Graph("serve");
  const weights = new GraphWeights(graph, source, known);
  const input = ({ name, dtype, shape }: Port): Var => graph.input(name, dtype, shape);
  const inputIds = input(INPUT_IDS);
  const logitRows = input(LOGIT_ROWS);
  const positionIds = needsPositionIds(config) ? input(POSITION_IDS) : null;
  const attend = cachedAttention(graph, config, inputIds, positionIds);
  const layout = adapterLayout(allGroups(config), bases);
  const adapt = layout.groups.length > 0 ? adapterPart(options, layout, weights, inputIds) : null;

  const parts = {
    tensor: (name: string): Var => weights.float32(name),
    linear: (x: Var, group: LinearGroup, finish: Finish): Var => {
      const y = weights.linearGroup(x, group, formatOf(group.name));
      return adapt ? adapt(x, y, group, finish) : finish(y);
    },
    attend,
  };
  const rows = weights.embeddingRows(reshape(inputIds, [ROWS]), formatOf(LM_HEAD_GROUP));
  const embedded = scaledEmbedding(config, rows, positionIds, parts.tensor);
  const hidden = gatherRows(decoderLayers(config, embedded, parts), logitRows);
  const head = weights.has(LM_HEAD) ? LM_HEAD : EMBEDDING;
  const logits = weights.product(
    headInput(config, hidden, parts),
    LM_HEAD_GROUP,
    [head],
    null,
    formatOf(LM_HEAD_GROUP),
  );
  graph.output(cappedLogits(config, logits), logitsPort(config.vocabSize).name);
  return graph;
}
