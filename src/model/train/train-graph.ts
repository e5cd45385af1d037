/**
 * The training graph: token ids in, loss and the gradient of every trained parameter out, in float32. Trained tensors
 * are inputs; all others are constants in the checkpoint's files. The decoder is the one that is served. Knows nothing
 * of optimisers, data and steps.
 */
import { gradients } from "../../autodiff/backward.ts";
import { headCrossEntropy } from "../../autodiff/cross-entropy.ts";
import type { AdapterMethod, BasisVars, MethodSettings, MethodTarget } from "../../adapter/method.ts";
import { Graph, type Var } from "../../graph/graph.ts";
import { add, cast, div, identity, mul } from "../../graph/ops/elementwise.ts";
import { linear } from "../../graph/ops/linear.ts";
import { reduceSum } from "../../graph/ops/reduce.ts";
import { concat, gatherRows, reshape, slice, transpose } from "../../graph/ops/shaping.ts";
import { pruneGraph } from "../../graph/prune.ts";
import { type Dim, product } from "../../graph/shape.ts";
import { cappedLogits, decoderLayers, headInput, scaledEmbedding } from "../decoder.ts";
import { type Linear, allLinears } from "../linears.ts";
import type { Attend } from "../attention.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { requiredTensors } from "../required-tensors.ts";
import { distillationLosses } from "./distillation-loss.ts";
import { preferenceLosses } from "./preference-loss.ts";
import { rewardLosses } from "./reward-loss.ts";
import { packedTokens } from "./packed-attention.ts";
import { differentiableAttention } from "./train-attention.ts";
import {
  ADVANTAGES,
  LOSS,
  LOSS_DENOMINATOR,
  LOSS_LABELS,
  LOSS_ROWS,
  KEY_ENDS,
  LOSS_WEIGHTS,
  PAIR_SIGNS,
  PREFIX_IDS,
  REFERENCE_MARGINS,
  ROW_LOSSES,
  SAMPLED_LOGPROBS,
  TEACHER_LOGITS,
  TRAIN_IDS,
  TRAIN_POSITIONS,
  type TrainPort,
  gradientName,
} from "./train-ports.ts";
import { EMBEDDING, LM_HEAD, linearBias, linearWeight } from "../weight-names.ts";
import { GraphWeights, type StoredTensor, type TensorSource, fromFile } from "../weights.ts";

/** A linear layer that an adapter is trained on. */
export interface TrainTarget extends MethodTarget {
  /** `layers.0.self_attn.q_proj` */
  readonly name: string;
  /** U float32 [dOut,K] and V float32 [dIn,K], K ≥ k, of methods whose forward pass reads them; otherwise null. */
  readonly basis: { readonly left: StoredTensor; readonly right: StoredTensor } | null;
}

/** The trained tensors: an adapter's parameters, or ("full") the checkpoint's own tensors. */
export type Trained =
  | { readonly kind: "full" }
  | {
      readonly kind: "adapter";
      readonly method: AdapterMethod;
      readonly settings: MethodSettings;
      readonly targets: readonly TrainTarget[];
    };

/**
 * The kind of loss that is computed from the loss rows: the cross-entropy of their labels, or the loss of preferences
 * or of rewards.
 */
export type TrainLoss =
  | { readonly kind: "labels" }
  | { readonly kind: "preferences"; readonly beta: number }
  | { readonly kind: "rewards"; readonly clip: number };

export interface TrainGraphOptions {
  readonly config: ModelConfig;
  /** The checkpoint. "full" only reads from it whether the LM head is a matrix of its own. */
  readonly source: TensorSource;
  readonly trained: Trained;
  /** Rows B, tokens T and loss rows N of a batch; default: names, any size at every run. */
  readonly sizes?: { readonly batch?: Dim; readonly length?: Dim; readonly lossRows?: Dim };
  /** Whether tokens that sequences share are computed once: rows as `PREFIX_IDS` and `KEY_ENDS` describe. */
  readonly isPacked?: boolean;
  /** Rows of the rotary tables; default the model's own bound. */
  readonly maxPositions?: number;
  /** Default: the cross-entropy of the predicted tokens. */
  readonly loss?: TrainLoss;
  /** Whether the rows learn the teacher's distributions (`teacher_logits`) instead of labels. */
  readonly isDistilled?: boolean;
  /** Receives the input x float32 [M,dIn] of every linear layer of an adapted model. It may mark outputs. */
  readonly observe?: (x: Var, layer: Linear) => void;
  /** False: the loss only, for evaluation. */
  readonly hasGradients?: boolean;
}

/** A trained tensor: an input under this name; its gradient is the output `gradient`, both float32. */
export interface TrainParameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly gradient: string;
}

export interface TrainGraph {
  readonly graph: Graph;
  readonly parameters: readonly TrainParameter[];
  /** float32 [N,V]; a caller may mark it as an output. */
  readonly logits: Var;
}

/** Builds the graph whose inputs and outputs are those of `train-ports.ts` and one of each per parameter. */
export function buildTrainGraph(options: TrainGraphOptions): TrainGraph {
  const { config, trained, hasGradients = true } = options;
  const { lossRows = "N" } = options.sizes ?? {};
  const graph = new Graph("train");
  const input = ({ name, dtype }: TrainPort, ...shape: Dim[]): Var => graph.input(name, dtype, shape);
  const { ids, positions, attend } = tokenParts(graph, options, input);
  const [rows, labels] = [input(LOSS_ROWS, lossRows), input(LOSS_LABELS, lossRows)];

  const model = trained.kind === "full" ? wholeModel(graph, options) : adaptedModel(graph, options, trained);
  const embedded = scaledEmbedding(config, model.embed(ids), positions, model.tensor);
  const hidden = decoderLayers(config, embedded, {
    tensor: model.tensor,
    // Joined here and split by the decoder: `split` returns the original parts.
    linear: (x, group, finish) => {
      const outputs = group.members.map((one) => model.linear(x, one));
      return finish(concat(outputs, 1));
    },
    attend,
  });
  const normed = headInput(config, gatherRows(hidden, rows), model);
  const head = model.tensor(options.source.has(LM_HEAD) ? LM_HEAD : EMBEDDING);
  const trainsHead = trained.kind === "full";
  const { logits, losses } = options.isDistilled
    ? distilled(cappedLogits(config, linear(normed, head)), input(TEACHER_LOGITS, lossRows, head.shape[0] ?? 0))
    : headCrossEntropy(normed, head, labels, { trainsHead, softCap: config.logitSoftCap });
  const parts = lossParts(losses, options.loss ?? { kind: "labels" }, input);
  const loss = div(reduceSum(parts, { axes: null, keepDims: false }), input(LOSS_DENOMINATOR));

  const parameters = [...model.parameters];
  const wanted = hasGradients ? gradients(loss, parameters) : [];
  graph.output(loss, LOSS);
  graph.output(losses, ROW_LOSSES);
  // One a parameter.
  wanted.forEach((gradient, i) => outputGradient(graph, gradient, gradientName(parameters[i]!.name)));
  pruneGraph(graph);
  const described = parameters.map(({ name, shape }) => ({
    name,
    shape: shape as readonly number[], // declared from numbers below
    gradient: gradientName(name),
  }));
  return { graph, parameters: described, logits };
}

function distilled(logits: Var, teacherLogits: Var): { logits: Var; losses: Var } {
  return { logits, losses: distillationLosses(logits, teacherLogits) };
}

type InputOf = (port: TrainPort, ...shape: Dim[]) => Var;

/** The tokens of all hidden states: their ids [M] and positions [B,T] or [M,1], and the attention among them. */
interface TokenParts {
  readonly ids: Var;
  readonly positions: Var;
  readonly attend: Attend;
}

function tokenParts(graph: Graph, options: TrainGraphOptions, input: InputOf): TokenParts {
  const { config, maxPositions = config.maxPositions } = options;
  const { batch = "B", length = "T" } = options.sizes ?? {};
  const inputIds = input(TRAIN_IDS, batch, length);
  const positionIds = input(TRAIN_POSITIONS, batch, length);
  if (!options.isPacked) {
    const attend = differentiableAttention(graph, config, maxPositions, { inputIds, positionIds });
    return { ids: reshape(inputIds, [product([batch, length])]), positions: positionIds, attend };
  }
  const [prefixIds, keyEnds] = [input(PREFIX_IDS, "prefix"), input(KEY_ENDS, batch, "keys")];
  return packedTokens(graph, config, maxPositions, { inputIds, positionIds, prefixIds, keyEnds });
}

/** The terms whose sum is the loss, before the division. @param losses float32 [N] */
function lossParts(losses: Var, loss: TrainLoss, input: InputOf): Var {
  const lossRows = losses.shape[0] ?? 0;
  switch (loss.kind) {
    case "labels":
      return mul(losses, input(LOSS_WEIGHTS, lossRows));
    case "preferences":
      return preferenceLosses(
        losses,
        { signs: input(PAIR_SIGNS, "P", lossRows), referenceMargins: input(REFERENCE_MARGINS, "P") },
        loss.beta,
      );
    case "rewards":
      return rewardLosses(
        losses,
        { advantages: input(ADVANTAGES, lossRows), sampledLogprobs: input(SAMPLED_LOGPROBS, lossRows) },
        loss.clip,
      );
  }
}

/**
 * A gradient under its final name. It gets a node of its own if it equals another gradient, or is not a node's result.
 */
function outputGradient(graph: Graph, gradient: Var, name: string): void {
  const isOwn = gradient.producer !== null && !graph.outputs.includes(gradient);
  graph.output(isOwn ? gradient : identity(gradient), name);
}

/** The decoder's tensors and linear layers, and the inputs among them. */
interface TrainedModel {
  readonly parameters: readonly Var[];
  readonly tensor: (name: string) => Var;
  /** Flat ids int64 [M] → float32 [M,C]. */
  readonly embed: (ids: Var) => Var;
  /** x float32 [M,dIn] → [M,dOut]. */
  readonly linear: (x: Var, layer: Linear) => Var;
}

function plainLinear(tensor: (name: string) => Var, x: Var, { name, hasBias }: Linear): Var {
  return linear(x, tensor(linearWeight(name)), hasBias ? tensor(linearBias(name)) : null);
}

/** Every tensor of the checkpoint is a parameter. A tied embedding is one parameter for both of its uses. */
function wholeModel(graph: Graph, { config, source }: TrainGraphOptions): TrainedModel {
  const inputs = new Map(
    requiredTensors(config, source.has(LM_HEAD)).map(({ name, shape }) => [name, graph.input(name, "float32", shape)]),
  );
  const tensor = (name: string): Var => {
    const value = inputs.get(name);
    if (!value) throw new Error(`internal: ${name} is no tensor of the model`);
    return value;
  };
  return {
    parameters: [...inputs.values()],
    tensor,
    embed: (ids) => gatherRows(tensor(EMBEDDING), ids),
    linear: (x, layer) => plainLinear(tensor, x, layer),
  };
}

/** The checkpoint is frozen; its targets get the adapter's delta, whose parameters are inputs `<target>.<name>`. */
function adaptedModel(graph: Graph, options: TrainGraphOptions, trained: Trained & { kind: "adapter" }): TrainedModel {
  const { method, settings, targets } = trained;
  const weights = new GraphWeights(graph, options.source);
  const tensor = (name: string): Var => weights.float32(name);
  const layers = new Map(allLinears(options.config).map((layer) => [layer.name, layer]));
  const adapters = targets.map((target) => {
    const layer = layers.get(target.name);
    if (layer?.dIn !== target.dIn || layer.dOut !== target.dOut)
      throw new Error(`internal: the model has no linear layer ${target.name} of ${target.dOut}×${target.dIn}`);
    const shapes = Object.entries(method.parameters(target, settings));
    const values = shapes.map(([key, shape]) => [key, graph.input(`${target.name}.${key}`, "float32", shape)] as const);
    return { target, values: Object.fromEntries(values), basis: basisVars(graph, target) };
  });
  const byName = new Map(adapters.map((adapter) => [adapter.target.name, adapter]));
  return {
    parameters: adapters.flatMap(({ values }) => Object.values(values)),
    tensor,
    embed: (ids) => cast(gatherRows(weights.stored(EMBEDDING), ids), "float32"),
    linear: (x, layer) => {
      options.observe?.(x, layer);
      const y = plainLinear(tensor, x, layer);
      const adapter = byName.get(layer.name);
      return adapter ? add(y, method.delta(x, adapter.target, settings, adapter.values, adapter.basis)) : y;
    },
  };
}

/** The leading k of a target's stored directions. */
function basisVars(graph: Graph, { name, k, basis }: TrainTarget): BasisVars | null {
  if (!basis) return null;
  const leading = (part: "U" | "V", tensor: StoredTensor): Var =>
    slice(fromFile(graph, `${name}.${part}`, tensor), 1, 0, k);
  return { left: transpose(leading("U", basis.left), [1, 0]), right: leading("V", basis.right) };
}
