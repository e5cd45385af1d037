/** The meaning of `--weights` for a model: the kind of its weights, and the layouts of its matrices. */
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import type { WeightLayouts } from "../../model/serve/weight-layouts.ts";
import { type Budget, MIXED, type Manifest, type WeightKind } from "../manifest.ts";
import { layoutsOfBudget } from "./budget/budget-layouts.ts";
import { chooseLayouts } from "./choose-layouts.ts";

/** `auto:4.5` is a budget of bits for each weight, with layouts chosen by measurement. */
export type WeightChoice = "auto" | WeightKind | `auto:${number}`;

/** The bits of a budget, or null if the choice is not a budget. */
export function budgetBits(choice: WeightChoice): number | null {
  return choice.startsWith("auto:") ? Number(choice.slice("auto:".length)) : null;
}

// "auto" quantises models above this size. Smaller models are fast in float32 and lose more to rounding.
const AUTO_QUANTIZE_PARAMETERS = 50_000_000;

/** The kind of weights that a choice selects for a model of this size. */
export function kindOf(choice: WeightChoice, parameters: number): Manifest["weights"] {
  if (choice === "auto") return parameters < AUTO_QUANTIZE_PARAMETERS ? "float32" : "int8";
  return isKind(choice) ? choice : MIXED;
}

function isKind(choice: WeightChoice): choice is WeightKind {
  return budgetBits(choice) === null && choice !== "auto";
}

export interface LayoutOptions {
  readonly weights: WeightChoice;
  /** null: the default of the kind of weights. */
  readonly blockSize: number | null;
  readonly numThreads: number;
}

/**
 * The layouts of the matrices.
 * @param kind the result of `kindOf`
 * @param onDone called with 0…1 while a budget is measured
 * @returns `layouts` null if the weights are not quantised, `budget` null if the choice is not a budget
 * @throws {AppError} usage for a budget that is too small
 */
export async function chooseWeights(
  checkpoint: Checkpoint,
  kind: Manifest["weights"],
  { weights, blockSize, numThreads }: LayoutOptions,
  onDone: (done: number) => void,
): Promise<{ readonly layouts: WeightLayouts | null; readonly budget: Budget | null }> {
  const bits = budgetBits(weights);
  if (bits !== null) return await layoutsOfBudget(checkpoint, bits, numThreads, onDone);
  const isQuantized = kind === "int8" || kind === "int4";
  return { layouts: isQuantized ? await chooseLayouts(checkpoint, kind, blockSize) : null, budget: null };
}
