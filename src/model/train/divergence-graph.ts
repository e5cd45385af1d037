/**
 * A graph that measures how far changed weights move a model. Input: one whole sequence, and every tensor of the
 * checkpoint, so that any of them may be changed from run to run. Output: logits, and the divergence of each position
 * from a teacher's logits. float32, without a cache. For measuring, not for serving.
 */
import { Graph, type Var } from "../../graph/graph.ts";
import { linear } from "../../graph/ops/linear.ts";
import { concat } from "../../graph/ops/shaping.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { type Finish, cappedLogits, decoderLayers, headInput, scaledEmbedding } from "../decoder.ts";
import type { LinearGroup } from "../linears.ts";
import { EMBEDDING, LM_HEAD, linearBias, linearWeight } from "../weight-names.ts";
import { distillationLosses } from "./distillation-loss.ts";
import { differentiableAttention } from "./train-attention.ts";
import { TEACHER_LOGITS, TRAIN_IDS, TRAIN_POSITIONS } from "./train-ports.ts";

/**
 * The inputs besides `TRAIN_IDS` and `TRAIN_POSITIONS` [1,T], `TEACHER_LOGITS` [T,V] and the tensors by their names:
 * rows of the embedding, float32 [T,C]. They are separate, because the vocabulary projection may be the same matrix,
 * and may be changed alone.
 */
export const EMBEDDED = "embedded";
/** float32 [T,V] */
export const MEASURED_LOGITS = "logits";
/** KL(teacher ‖ model) of every position, nats, float32 [T]. */
export const DIVERGENCES = "divergences";

/** @param shapes of the checkpoint's tensors by name. @param length T */
export function buildDivergenceGraph(
  config: ModelConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  length: number,
): Graph {
  const graph = new Graph("divergence");
  const inputIds = graph.input(TRAIN_IDS.name, "int64", [1, length]);
  const positionIds = graph.input(TRAIN_POSITIONS.name, "int64", [1, length]);
  const embedded = graph.input(EMBEDDED, "float32", [length, config.hiddenSize]);
  const teacher = graph.input(TEACHER_LOGITS.name, "float32", [length, config.vocabSize]);
  const inputs = new Map<string, Var>();
  const tensor = (name: string): Var => {
    const shape = shapes.get(name);
    if (!shape) throw new Error(`internal: the checkpoint has no tensor ${name}`);
    const known = inputs.get(name) ?? graph.input(name, "float32", shape);
    inputs.set(name, known);
    return known;
  };
  const parts = {
    tensor,
    linear: (x: Var, group: LinearGroup, finish: Finish): Var => {
      const outputs = group.members.map(({ name, hasBias }) =>
        linear(x, tensor(linearWeight(name)), hasBias ? tensor(linearBias(name)) : null),
      );
      return finish(concat(outputs, 1));
    },
    attend: differentiableAttention(graph, config, length, { inputIds, positionIds }),
  };
  const hidden = decoderLayers(config, scaledEmbedding(config, embedded, positionIds, tensor), parts);
  const head = tensor(shapes.has(LM_HEAD) ? LM_HEAD : EMBEDDING);
  const logits = cappedLogits(config, linear(headInput(config, hidden, parts), head));
  graph.output(distillationLosses(logits, teacher), DIVERGENCES);
  graph.output(logits, MEASURED_LOGITS);
  return graph;
}
