/**
 * One row of logits → one token id, in vLLM's order: min tokens and logit bias, penalties (repetition, frequency, presence),
 * temperature, min_p, top_k, top_p, draw. Pure but for the sequence's own random state; the row itself is never written to.
 * Ties count by lower id everywhere, so top_k 1 is greedy and every cut is exact (vLLM keeps all that tie at the cut).
 */
import { AppError } from "../errors.ts";
import { nextUniform, type RandomState, seedRandom } from "../tensor/random.ts";
import { expOfNegative } from "./exp.ts";
import type { SamplingParams } from "./protocol.ts";
import { selectMass, selectTop } from "./select.ts";
// Indices are bounded by their loops, hence `!`.

/** Below this, dividing by the temperature overflows float32 and the draw is the maximum anyway; vLLM draws the line here too. */
const GREEDY_TEMPERATURE = 1e-5;

/** What sampling remembers of one sequence. */
export interface SamplingState {
  readonly params: SamplingParams;
  readonly random: RandomState;
  /** Distinct ids of prompt and output; kept only where the repetition penalty asks. */
  readonly seenIds: Set<number> | null;
  /** How often each id was generated; kept only where a penalty asks. */
  readonly outputCounts: Map<number, number> | null;
}

/** Work space for one row, shared by all sequences of an engine. */
export interface SamplerScratch {
  readonly logits: Float32Array; // [V]
  readonly ids: Int32Array; // [V]
  readonly weights: Float64Array; // [V]
}

/** Work space for rows of `vocabSize` logits. */
export function createSamplerScratch(vocabSize: number): SamplerScratch {
  return {
    logits: new Float32Array(vocabSize),
    ids: new Int32Array(vocabSize),
    weights: new Float64Array(vocabSize),
  };
}

/** The state a sequence starts with. */
export function createSamplingState(params: SamplingParams, promptIds: Int32Array): SamplingState {
  return {
    params,
    random: seedRandom(params.seed),
    seenIds: params.repetitionPenalty === 1 ? null : new Set(promptIds),
    outputCounts: params.presencePenalty === 0 && params.frequencyPenalty === 0 ? null : new Map(),
  };
}

/** Notes a generated token for the penalties. */
export function recordToken(state: SamplingState, tokenId: number): void {
  state.seenIds?.add(tokenId);
  state.outputCounts?.set(tokenId, (state.outputCounts.get(tokenId) ?? 0) + 1);
}

/**
 * Index of the first largest logit, without allocating.
 * @param logits float32 [V]. @throws {AppError} internal_error where the model gave NaN or infinity.
 */
export function argmax(logits: Float32Array): number {
  const numInFours = logits.length - 3;
  let best = -1;
  let max = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    // Nearly all logits are passed over. By fours this takes half the time, in every greedy row of every step (docs/log.md).
    if (
      i < numInFours &&
      logits[i]! <= max &&
      logits[i + 1]! <= max &&
      logits[i + 2]! <= max &&
      logits[i + 3]! <= max
    ) {
      i += 3;
      continue;
    }
    const value = logits[i]!;
    if (value <= max) continue; // false for NaN too
    if (!(value < Infinity)) throw new AppError("internal_error", `internal: the model gave a logit of ${value}`);
    max = value;
    best = i;
  }
  if (best < 0) throw new AppError("internal_error", "internal: every token is masked, none can be chosen");
  return best;
}

/**
 * Chooses the next token.
 * @param logits float32 [V]. @param maskedIds ids that may not be chosen now (end tokens before min_tokens).
 * @throws {AppError} internal_error for logits that are not numbers, or when nothing may be chosen.
 */
export function chooseToken(
  logits: Float32Array,
  state: SamplingState,
  maskedIds: readonly number[],
  scratch: SamplerScratch,
): number {
  const row = isUntouched(state, maskedIds) ? logits : processLogits(logits, state, maskedIds, scratch.logits);
  const best = argmax(row);
  if (state.params.temperature < GREEDY_TEMPERATURE || state.params.topK === 1) return best;
  return draw(row, best, state, scratch);
}

function isUntouched(state: SamplingState, maskedIds: readonly number[]): boolean {
  const isPenalised = state.seenIds !== null || state.outputCounts !== null;
  return !isPenalised && maskedIds.length === 0 && state.params.logitBias.length === 0;
}

/** Masks, biases and penalises a copy of the row. */
function processLogits(
  logits: Float32Array,
  state: SamplingState,
  maskedIds: readonly number[],
  row: Float32Array,
): Float32Array {
  const { params } = state;
  row.set(logits);
  for (const id of maskedIds) row[id] = -Infinity;
  for (const [id, bias] of params.logitBias) row[id] = row[id]! + bias;
  for (const id of state.seenIds ?? []) {
    const value = row[id]!;
    row[id] = value > 0 ? value / params.repetitionPenalty : value * params.repetitionPenalty;
  }
  for (const [id, count] of state.outputCounts ?? []) {
    row[id] = row[id]! - params.frequencyPenalty * count - params.presencePenalty;
  }
  return row;
}

/** Draws from softmax(row / temperature) cut by min_p, top_k and top_p. @param best index of the largest logit, which no cut removes. */
function draw(row: Float32Array, best: number, state: SamplingState, scratch: SamplerScratch): number {
  const { topK, topP } = state.params;
  const { ids, weights } = scratch;
  let size = row.length;
  let isCut = topK > 0 && topK < size; // else the ids are 0…size-1 and not written out
  if (isCut) size = selectTop(row, topK, ids);
  let total = weigh(row, best, isCut ? ids : null, size, state.params, weights);
  if (topP < 1) {
    // Entries this light cannot be among the first whose mass is topP: all of them together are less than the rest.
    // 0.99 leaves room for rounding. On a peaked row few remain to be selected from.
    const floor = (0.99 * (1 - topP) * total) / size;
    size = selectMass(ids, weights, dropLight(isCut ? ids : null, size, floor, scratch), topP * total);
    isCut = true;
    total = 0;
    for (let i = 0; i < size; i++) total += weights[i]!;
  }
  let rest = nextUniform(state.random) * total;
  let last = best;
  for (let i = 0; i < size; i++) {
    if (weights[i]! === 0) continue;
    last = isCut ? ids[i]! : i;
    rest -= weights[i]!;
    if (rest < 0) break;
  }
  return last; // the last possible one where rounding left a rest
}

/**
 * Weights of the first `size` entries of `chosen` (null: of the row), 1 for the likeliest, so min_p is a bound on them and what
 * is below it weighs 0. @returns their sum.
 */
function weigh(
  row: Float32Array,
  best: number,
  chosen: Int32Array | null,
  size: number,
  { temperature, minP }: SamplingParams,
  weights: Float64Array,
): number {
  const max = row[best]!;
  const scale = 1 / temperature;
  const bound = Math.min(minP, 1);
  let total = 0;
  for (let i = 0; i < size; i++) {
    const weight = expOfNegative((row[chosen === null ? i : chosen[i]!]! - max) * scale);
    weights[i] = weight < bound ? 0 : weight;
    if (weight >= bound) total += weight;
  }
  return total;
}

/** Moves the entries that weigh `floor` or more to the front, ids and weights. @returns how many they are. */
function dropLight(chosen: Int32Array | null, size: number, floor: number, { ids, weights }: SamplerScratch): number {
  let numKept = 0;
  for (let i = 0; i < size; i++) {
    const weight = weights[i]!;
    if (weight < floor) continue;
    ids[numKept] = chosen === null ? i : chosen[i]!;
    weights[numKept++] = weight;
  }
  return numKept;
}
