/**
 * Every input and output of the serving graph, by name, dtype and shape: the contract between the builder and the
 * engine. A step is either B sequences with one token each, or one sequence with T tokens. A row of adapter numbers is
 * therefore given once (prefill) or once a token row (decode): "1|B*T".
 */
import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "../graph/shape.ts";
import type { GroupLayout } from "./adapter-layout.ts";
import type { LinearGroup } from "./linears.ts";
import type { ModelConfig } from "./config/model-config.ts";

export interface Port {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Token rows of a step, flattened. */
export const ROWS = "B*T";
/** Rows of an adapter port. */
const ADAPTER_ROWS = `1|${ROWS}`;

/** Token ids of the step. */
export const INPUT_IDS: Port = { name: "input_ids", dtype: "int64", shape: ["B", "T"] };
/** Position of every token. Only in graphs that apply rotary positions outside attention. */
export const POSITION_IDS: Port = { name: "position_ids", dtype: "int64", shape: ["B", "T"] };
/** Index of each row's last token after the step: its length − 1. */
export const LAST_POSITIONS: Port = { name: "seqlens_k", dtype: "int32", shape: ["B"] };
/** The greatest length in the batch after the step. */
export const TOTAL_LENGTH: Port = { name: "total_sequence_length", dtype: "int32", shape: [] };
/** The token rows that are projected to the vocabulary. */
export const LOGIT_ROWS: Port = { name: "logit_rows", dtype: "int64", shape: ["N"] };
/** Scores of the next token after each of `LOGIT_ROWS`. */
export const logitsPort = (vocabSize: number): Port => ({ name: "logits", dtype: "float32", shape: ["N", vocabSize] });

/**
 * The token rows whose hidden states are returned. The stored graph does not have it (`device-graph/hidden-states.ts`).
 */
export const HIDDEN_ROWS: Port = { name: "hidden_rows", dtype: "int64", shape: ["H"] };
/** Hidden states of those rows after the final norm. */
export const HIDDEN_STATES: Port = { name: "hidden_states", dtype: "float32", shape: ["H", "C"] };

/**
 * The rows of `LOGIT_ROWS` that are requested whole. Only in graphs that read their logits themselves and return no
 * other logits.
 */
export const IS_WHOLE: Port = { name: "is_whole", dtype: "bool", shape: ["N"] };
/** The logits of those rows, and of rows whose sum is not finite, in their order. */
export const wholeLogitsPort = (vocabSize: number): Port => ({
  name: "whole_logits",
  dtype: "float32",
  shape: ["F", vocabSize],
});
/** The greatest logit of every block of the vocabulary. */
export const blockMaximaPort = (numBlocks: number): Port => ({
  name: "block_maxima",
  dtype: "float32",
  shape: ["N", numBlocks],
});
/** The likeliest token of every row. */
export const BEST_IDS: Port = { name: "best_ids", dtype: "int64", shape: ["N"] };
/** The sum of a row's logits: not finite where one of them is not. */
export const ROW_SUMS: Port = { name: "row_sums", dtype: "float32", shape: ["N"] };

/**
 * The sampling graphs. They read `logitsPort` in the device's memory, where the serving graph left it.
 * Only token ids and a few candidates should leave that memory. `best` returns `BEST_IDS` and `ROW_SUMS`.
 */
export type SampleGraph = "best" | "top" | "rows";

/** Number of candidates that `top` returns for each row; the whole vocabulary if that is smaller. */
export const MAX_CANDIDATES = 64;

/** `top`: factor on the logits before `WEIGHT_SUMS` is summed. */
export const INVERSE_TEMPERATURES: Port = { name: "inverse_temperatures", dtype: "float32", shape: ["N", 1] };
/** `top`: the likeliest tokens, best first. */
export const candidatePorts = (vocabSize: number): { readonly ids: Port; readonly logits: Port } => {
  const count = Math.min(MAX_CANDIDATES, vocabSize);
  return {
    ids: { name: "top_ids", dtype: "int64", shape: ["N", count] },
    logits: { name: "top_logits", dtype: "float32", shape: ["N", count] },
  };
};
/** `top`: Σ exp((logit − greatest logit) / temperature) of every row. */
export const WEIGHT_SUMS: Port = { name: "weight_sums", dtype: "float32", shape: ["N"] };
/** `top`: the same at temperature 1, for log-probabilities. */
export const UNIT_WEIGHT_SUMS: Port = { name: "unit_weight_sums", dtype: "float32", shape: ["N"] };

/** `rows`: the rows that are requested whole. */
export const WANTED_ROWS: Port = { name: "wanted_rows", dtype: "int64", shape: ["F"] };
/** `rows`: their logits. */
export const wantedLogitsPort = (vocabSize: number): Port => ({
  name: "wanted_logits",
  dtype: "float32",
  shape: ["F", vocabSize],
});

// ONNX Runtime 1.30 on CPU, measured: attention needs head sizes that are a multiple of 8; others are padded with
// zeros.
const HEAD_MULTIPLE = 8;

/** Size of a head in the KV cache. */
export function cacheHeadSize({ headSize }: Pick<ModelConfig, "headSize">): number {
  return Math.ceil(headSize / HEAD_MULTIPLE) * HEAD_MULTIPLE;
}

export interface CachePorts {
  readonly pastKey: Port;
  readonly pastValue: Port;
  /** The whole cache, in the memory that is fed as past. */
  readonly presentKey: Port;
  readonly presentValue: Port;
}

/** Types of the numbers in a KV cache. */
export type CacheType = "float32" | "float16" | "int8";

// Measured on SmolLM2: a scale for 64 numbers costs twice the KL divergence of a scale for 32.
const MIN_SCALE_BLOCK = 32;

/**
 * Numbers of a head that share a scale in an int8 cache: the smallest divisor of the head's size from 32 on, or the
 * whole head where it is smaller.
 */
export function scaleBlock(config: Pick<ModelConfig, "headSize">): number {
  const headSize = cacheHeadSize(config);
  let block = Math.min(MIN_SCALE_BLOCK, headSize);
  while (headSize % block !== 0) block++;
  return block;
}

/** A tensor of a layer's cache, [B,K,S,…], and the name of the part that a step adds to it, [B,K,T,…]. */
export interface CachePart {
  readonly past: Port;
  readonly added: string;
}

/** The tensors of a layer's cache: keys and values, each followed by its scales in an int8 cache. */
export function cacheParts(
  layer: number,
  config: Pick<ModelConfig, "headSize" | "numKvHeads">,
  type: CacheType,
): readonly CachePart[] {
  const { pastKey, pastValue } = cachePorts(layer, config);
  const added = newCacheNames(layer);
  return (
    [
      [pastKey, added.key],
      [pastValue, added.value],
    ] as const
  ).flatMap(([port, name]): readonly CachePart[] => {
    const numbers = { past: { ...port, dtype: type }, added: name };
    if (type !== "int8") return [numbers];
    const shape = [...port.shape.slice(0, -1), cacheHeadSize(config) / scaleBlock(config)];
    return [numbers, { past: { name: scalesOf(port.name), dtype: "float16", shape }, added: scalesOf(name) }];
  });
}

/** Name of the scales of the codes with this name. */
const scalesOf = (name: string): string => `${name}_scale`;

/** The KV cache of one layer. */
export function cachePorts(layer: number, config: Pick<ModelConfig, "headSize" | "numKvHeads">): CachePorts {
  const shape = ["B", config.numKvHeads, "S", cacheHeadSize(config)];
  const port = (name: string): Port => ({ name, dtype: "float32", shape });
  return {
    pastKey: port(`past_key_values.${layer}.key`),
    pastValue: port(`past_key_values.${layer}.value`),
    presentKey: port(`present.${layer}.key`),
    presentValue: port(`present.${layer}.value`),
  };
}

/** The new cache entries of one layer, [B,K,T,D] each, in graphs that return no present cache. */
export interface NewCacheNames {
  readonly key: string;
  readonly value: string;
}

export function newCacheNames(layer: number): NewCacheNames {
  return { key: `new_key_values.${layer}.key`, value: `new_key_values.${layer}.value` };
}

/** Whether any row of the step has a Mo-SARA adapter. If not, this part of the graph is skipped. */
export const HAS_MO_SARA: Port = { name: "adapter.has_mo_sara", dtype: "bool", shape: [] };
/** Whether any row of the step has a routed Mo-SARA adapter (n > 1). */
export const HAS_ROUTERS: Port = { name: "adapter.has_routers", dtype: "bool", shape: [] };
/** λ of routed rows, all groups side by side; zero for the others. */
export const headsPort = (totalK: number): Port => ({
  name: "adapter.heads",
  dtype: "float32",
  shape: [ADAPTER_ROWS, "n", totalK],
});
/** W_gᵀ of routed rows, all groups below each other. */
export const routersPort = (totalK: number): Port => ({
  name: "adapter.routers",
  dtype: "float32",
  shape: [ADAPTER_ROWS, totalK, "n"],
});
/** 0 for a head, −∞ for padding up to the batch's greatest n. */
export const HEAD_MASK: Port = { name: "adapter.head_mask", dtype: "float32", shape: [ADAPTER_ROWS, 1, "n"] };

/** λ (of rows with one head; zero for routed rows) and v of one group. */
export function groupPorts(layout: GroupLayout): { readonly gains: Port; readonly scale: Port } {
  const { group, k } = layout;
  return {
    gains: { name: `adapter.${group.name}.gains`, dtype: "float32", shape: [ADAPTER_ROWS, k] },
    scale: { name: `adapter.${group.name}.scale`, dtype: "float32", shape: [ADAPTER_ROWS, group.dOut] },
  };
}

/**
 * The terms (λ, v) of a row: one, or several in a blend of Mo-SARA adapters. When an engine opens a graph, the ports of
 * λ and v get this axis before their two (`device-graph/blend-terms.ts`). The stored graph does not have it.
 */
export const TERMS = "m";
/** 1 for the first term and 0 for the others: only the first one can be routed. */
export const FIRST_TERM: Port = { name: "adapter.first_term", dtype: "float32", shape: [TERMS, 1, 1] };

/** Whether any sequence of the step has a SARA or LoRA adapter on a group with the name `part`, in any layer. */
export const hasLowRankPort = (part: string): Port => ({
  name: `adapter.has_low_rank.${part}`,
  dtype: "bool",
  shape: [],
});

/**
 * The two matrices of every sequence's low-rank adapter on one group,
 * padded to a common rank. Rank 0 where no row uses the group.
 */
export function lowRankPorts(group: Pick<LinearGroup, "name" | "dIn" | "dOut">): {
  readonly down: Port;
  readonly up: Port;
} {
  const { name, dIn, dOut } = group;
  const rank = `r.${name}`;
  return {
    down: { name: `adapter.${name}.down`, dtype: "float32", shape: ["B", dIn, rank] },
    up: { name: `adapter.${name}.up`, dtype: "float32", shape: ["B", rank, dOut] },
  };
}
