/**
 * The layouts of a base with a budget of bits (`--weights auto:<bits>`). Each matrix is quantised alone in its smallest
 * form, and the divergence of the whole model is measured. Larger forms of a matrix are expected to lose in proportion
 * to the squared error of their weights. The result is compared with the uniform kinds that fit the budget, so that it
 * never loses more than they do on the text.
 */
// Indices are bounded by their loops, hence `!`.
import type { Checkpoint } from "../../../checkpoint/checkpoint.ts";
import { AppError } from "../../../errors.ts";
import { type WeightLayouts, layoutsOf, withOwn } from "../../../model/serve/weight-layouts.ts";
import { readTexts } from "../../../tokenizer/files/text-files.ts";
import { makeTokenizer } from "../../../tokenizer/tokenizer.ts";
import { matricesOf } from "../choose-layouts.ts";
import type { Budget } from "../../manifest.ts";
import { type DivergenceMeter, openDivergenceMeter } from "./divergence-meter.ts";
import { type MatrixForms, formsOf, roundedValues, squaredError } from "./matrix-forms.ts";
import { SAMPLE_TEXT } from "./sample-text.ts";
import { type Form, leastBytes, spendBudget } from "./spend-budget.ts";

/** Tokens of the text that are read at most. */
export const MAX_TOKENS = 192;

/**
 * @param bits for each weight of a matrix, all parts counted
 * @param onDone called with 0…1
 * @throws {AppError} usage where the budget is too small; checkpoint_unsupported without a tokenizer
 */
export async function layoutsOfBudget(
  checkpoint: Checkpoint,
  bits: number,
  numThreads: number,
  onDone: (done: number) => void,
): Promise<{ readonly layouts: WeightLayouts; readonly budget: Budget }> {
  const ids = await sampleIds(checkpoint);
  await using meter = await openDivergenceMeter(checkpoint, ids, numThreads);
  const matrices = matricesOf(checkpoint).map((matrix) => formsOf(checkpoint, matrix, meter.valuesOf));
  const numWeights = matrices.reduce((sum, one) => sum + one.numWeights, 0);
  const maxBytes = Math.floor((bits * numWeights) / 8);
  assertReachable(bits, maxBytes, numWeights, matrices);
  const losses: (readonly Form[])[] = [];
  for (const forms of matrices) {
    losses.push(await lossesOf(forms, meter));
    onDone(losses.length / matrices.length);
  }
  const choices = [
    spendBudget(losses, maxBytes),
    ...(["int8", "int4"] as const).map((kind) => matrices.map(({ uniform }) => uniform[kind])),
  ].filter((choice) => bytesOf(matrices, choice) <= maxBytes);
  let best = { choice: choices[0]!, divergence: Infinity }; // the first one fits
  for (const choice of choices) {
    const divergence = await meter.divergenceOf(changedBy(matrices, choice, meter));
    if (divergence < best.divergence) best = { choice, divergence };
  }
  const { choice, divergence } = best;
  const own = new Map(matrices.map(({ matrix, layouts }, i) => [matrix.group, layouts[choice[i]!]!] as const));
  const budget = { bits, maxBytes, bytes: bytesOf(matrices, choice), numTokens: ids.length, divergence };
  return { layouts: withOwn(layoutsOf("int4", null), own), budget };
}

async function sampleIds({ texts, path, config }: Checkpoint): Promise<readonly number[]> {
  if (!texts.has("tokenizer.json"))
    throw new AppError(
      "checkpoint_unsupported",
      `--weights auto:<bits> compares losses on a text, but ${path} has no tokenizer.json. Add the tokenizer files of the model, or use --weights int4.`,
    );
  const tokenizer = makeTokenizer((await readTexts(texts, path)).tokenizer, path);
  const ids = tokenizer.encode(SAMPLE_TEXT).filter((id) => id < config.vocabSize);
  return ids.slice(0, Math.min(MAX_TOKENS, config.maxPositions));
}

/** @throws {AppError} usage */
function assertReachable(bits: number, maxBytes: number, numWeights: number, matrices: readonly MatrixForms[]): void {
  const least = leastBytes(matrices.map(({ bytes }) => bytes.map((one) => ({ bytes: one, loss: 0 }))));
  if (maxBytes >= least) return;
  const leastBits = Math.ceil((8000 * least) / numWeights) / 1000;
  throw new AppError(
    "usage",
    `--weights auto:${bits} allows ${maxBytes} bytes for ${numWeights} weights, but this model needs at least ${least}. Use --weights auto:${leastBits} or more.`,
  );
}

/** The expected loss of each form: measured for the smallest one, in proportion to the squared error for the others. */
async function lossesOf(forms: MatrixForms, meter: DivergenceMeter): Promise<readonly Form[]> {
  const { matrix, layouts, bytes, kept } = forms;
  const errors = layouts.map((layout, i) => (i === kept ? 0 : squaredError(matrix, layout, meter.valuesOf)));
  const smallest = bytes.reduce((best, size, i) => (i !== kept && (best < 0 || size < bytes[best]!) ? i : best), -1);
  const measured = await meter.divergenceOf(changedMatrix(forms, smallest, meter));
  return bytes.map((size, i) => ({
    bytes: size,
    loss: errors[smallest] === 0 ? 0 : (measured * errors[i]!) / errors[smallest]!,
  }));
}

function bytesOf(matrices: readonly MatrixForms[], choice: readonly number[]): number {
  return matrices.reduce((sum, { bytes }, i) => sum + bytes[choice[i]!]!, 0);
}

/** The tensors of a matrix in a form; none where it keeps its numbers. */
function changedMatrix(
  { matrix, layouts, kept }: MatrixForms,
  form: number,
  meter: DivergenceMeter,
): ReadonlyMap<string, Float32Array> {
  if (form === kept) return new Map();
  const layout = layouts[form]!;
  return new Map(matrix.tensors.map((name) => [name, roundedValues(meter.valuesOf(name), matrix.dIn, layout)]));
}

function changedBy(
  matrices: readonly MatrixForms[],
  choice: readonly number[],
  meter: DivergenceMeter,
): ReadonlyMap<string, Float32Array> {
  return new Map(matrices.flatMap((forms, i) => [...changedMatrix(forms, choice[i]!, meter)]));
}
