/**
 * Turns one row of logits into one token id, in vLLM's order: allowed ids, bad words, min tokens and logit bias,
 * penalties (repetition, frequency, presence), temperature, min_p, top_k, top_p, draw. The result depends only on the
 * row and on the sequence's own random state. Ties go to the lower id everywhere, so top_k 1 is greedy and every cut is
 * exact (vLLM keeps all that tie at the cut).
 *
 * | the request asks for                       | part read     | the token is chosen or drawn by                      |
 * | ------------------------------------------ | ------------- | ---------------------------------------------------- |
 * | greedy (temperature 0 or top_k 1)          | best id       | `sampler.ts`: the best id itself                     |
 * | top_k up to 64                             | 64 candidates | `draw.ts`: `drawListed`, cut by `select.ts`          |
 * | top_p or min_p, no top_k                   | 64 candidates | the same where they suffice, else as in the next row |
 * | temperature alone, or the whole row needed | whole row     | `draw.ts`: `drawToken`, by rejection                 |
 * | … with top_p                               | whole row     | … its cut by `mass-bounds.ts`, then `weight-sums.ts` |
 * | top_k above 64                             | whole row     | `blocks.ts`: `topOf`, then `drawListed`              |
 * | bias, penalties, masks or allowed ids      | whole row     | `adjusted-row.ts` first, then as above               |
 *
 * An answer bound to a grammar needs the whole row. Before everything else, `masked-row.ts` leaves only allowed ids in
 * it.
 *
 * Log-probabilities need 64 candidates, or the whole row for more than 64 alternatives.
 */
import { MAX_CANDIDATES } from "../../model/ports.ts";
import { type Blocks, bestOf, blocksOf, sortByLogit, topOf } from "./blocks.ts";
import { type DrawScratch, createDrawScratch, drawListed, drawToken } from "./draw.ts";
import { BEST, type LogitRow, type RowNeed, type TopRow, WHOLE } from "./logit-rows.ts";
import type { SamplingParams } from "../protocol.ts";
import type { SamplingState } from "./sampling-state.ts";
import type { MaskedRoom } from "./masked-row.ts";
import { selectMass } from "./select.ts";
import { type AdjustedRoom, isUnadjusted, withAdjusted } from "./adjusted-row.ts";
import { type LogitScale, weightWithin } from "./weight-sums.ts";
// Indices are bounded by their loops, hence `!`.

/**
 * Below this, dividing by the temperature overflows float32 and the draw is the maximum anyway; vLLM draws the line
 * here too.
 */
const GREEDY_TEMPERATURE = 1e-5;

/** e^-708 is the least normal number of float64. */
const MAX_WEIGHT_DEPTH = 708;

/** Work space for one row, shared by all sequences of an engine. */
export interface SamplerScratch extends DrawScratch {
  /** Block maxima of rows that came without them. */
  readonly maxima: Float32Array;
  readonly adjusted: AdjustedRoom;
  readonly masked: MaskedRoom;
  readonly heap: Int32Array; // [V]
}

/** Work space for rows of `vocabSize` logits. */
export function createSamplerScratch(vocabSize: number): SamplerScratch {
  return {
    ...createDrawScratch(vocabSize),
    maxima: new Float32Array(vocabSize),
    adjusted: { maxima: new Float32Array(vocabSize), logits: new Float32Array(vocabSize) },
    masked: { maxima: new Float32Array(vocabSize), logits: new Float32Array(vocabSize) },
    heap: new Int32Array(vocabSize),
  };
}

/** Whether the likeliest token is always chosen. */
const isGreedy = ({ temperature, topK }: SamplingParams): boolean => temperature < GREEDY_TEMPERATURE || topK === 1;

/**
 * The part of the row that is needed to choose a token and to report its log-probability with `numLogprobs`
 * alternatives (null: no log-probability).
 */
export function needOf(state: SamplingState, maskedIds: readonly number[], numLogprobs: number | null): RowNeed {
  const { params } = state;
  if (!isUnadjusted(state, maskedIds) || (numLogprobs ?? 0) > MAX_CANDIDATES) return WHOLE;
  if (isGreedy(params)) return numLogprobs === null ? BEST : { numTop: MAX_CANDIDATES, temperature: 1 };
  const isCut = (params.topK > 0 && params.topK <= MAX_CANDIDATES) || params.topP < 1 || params.minP > 0;
  return isCut ? { numTop: MAX_CANDIDATES, temperature: params.temperature } : WHOLE;
}

/**
 * Chooses the next token.
 * @param row unchanged when this returns @param maskedIds ids that may not be chosen now (end tokens before
 * min_tokens).
 * @returns null where the candidates of a `TopRow` do not suffice: nothing was drawn, and the whole row is needed
 * @throws {AppError} internal_error for logits that are not numbers; invalid_request when nothing may be chosen.
 */
export function chooseToken(
  row: LogitRow,
  state: SamplingState,
  maskedIds: readonly number[],
  scratch: SamplerScratch,
): number | null {
  if (row.kind === "top") return isUnadjusted(state, maskedIds) ? chooseOfTop(row, state, scratch) : null;
  const blocks = blocksOf(row, scratch.maxima);
  return withAdjusted(blocks, state, maskedIds, scratch.adjusted, (adjusted) => {
    const best = bestOf(adjusted);
    return isGreedy(state.params) ? best : draw(adjusted, adjusted.logits[best]!, state, scratch);
  });
}

/**
 * Greatest distance of a logit below the best one, for logits divided by the temperature. min_p bounds the weight,
 * which is e^-distance.
 */
const depthLimit = ({ minP }: SamplingParams): number =>
  minP > 0 ? Math.min(MAX_WEIGHT_DEPTH, -Math.log(Math.min(minP, 1))) : MAX_WEIGHT_DEPTH;

/** Draws from softmax(row / temperature) cut by min_p, top_k and top_p. */
function draw(blocks: Blocks, max: number, state: SamplingState, scratch: SamplerScratch): number {
  const { params, random } = state;
  const { logits } = blocks;
  const scaling: LogitScale = { max, scale: 1 / params.temperature, limit: depthLimit(params) };
  if (params.topK === 0 || params.topK >= logits.length)
    return drawToken(blocks, scaling, params.topP, random, scratch);
  const size = topOf(blocks, params.topK, scratch.ids, scratch.heap);
  if (size <= MAX_CANDIDATES) sortByLogit(logits, scratch.ids.subarray(0, size));
  for (let i = 0; i < size; i++) scratch.weights[i] = weightWithin(logits[scratch.ids[i]!]!, scaling);
  return drawOfTop(size, sumOf(scratch.weights, size), state, scratch);
}

/** Draws from the first `size` ids and weights of the work space, cut where the weights reach `topP` of `total`. */
function drawOfTop(size: number, total: number, { params, random }: SamplingState, scratch: SamplerScratch): number {
  const { ids, weights } = scratch;
  const count = params.topP < 1 ? selectMass(ids, weights, size, params.topP * total) : size;
  return drawListed(ids, weights, count, random);
}

/** Chooses a token only from a row's best candidates; null where they do not suffice. */
function chooseOfTop(row: TopRow, state: SamplingState, scratch: SamplerScratch): number | null {
  const { params } = state;
  if (isGreedy(params) || row.ids.length === 0) return row.ids[0] ?? null;
  const { ids, weights } = scratch;
  if (row.sums === null) return null;
  const scaling: LogitScale = { max: row.logits[0]!, scale: 1 / params.temperature, limit: depthLimit(params) };
  const isTopK = params.topK > 0 && params.topK <= row.ids.length;
  const size = isTopK ? params.topK : row.ids.length;
  for (let i = 0; i < size; i++) {
    ids[i] = row.ids[i]!;
    weights[i] = weightWithin(row.logits[i]!, scaling);
  }
  const known = sumOf(weights, size);
  // Where min_p cuts within the candidates, they include every token that has weight.
  if (isTopK || weights[size - 1] === 0) return drawOfTop(size, known, state, scratch);
  const isEnough = params.topK === 0 && params.topP < 1 && params.minP === 0 && known >= params.topP * row.sums.weights;
  return isEnough ? drawOfTop(size, row.sums.weights, state, scratch) : null;
}

function sumOf(weights: Float64Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += weights[i]!;
  return sum;
}
