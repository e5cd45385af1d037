/**
 * Estimates the duration of a build and the size of the base before the build starts.
 * Sizes of weights are exact. Sizes of bases are guessed, because ranks are not known yet.
 * Speeds were measured on one core of an AMD EPYC (AVX2).
 */
import { bytesPerElement } from "../../tensor/dtype.ts";
import { numElements } from "../../tensor/host-tensor.ts";
import { bitsPerWeight } from "../../model/serve/quantized-matrix.ts";
import { LM_HEAD_GROUP, type WeightLayouts, layoutOf, layoutsOf } from "../../model/serve/weight-layouts.ts";
import { EMBEDDING, LM_HEAD } from "../../model/weight-names.ts";
import { type Manifest, SERVED } from "../manifest.ts";
import { MAX_TOKENS } from "./budget/budget-layouts.ts";
import type { BuildOptions } from "./build.ts";
import { keptLayouts, matricesOf } from "./choose-layouts.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { chooseTargets } from "./targets.ts";
import { tensorHomes } from "./tensor-homes.ts";
import { budgetBits, kindOf } from "./weight-choice.ts";

export interface BuildEstimate {
  readonly parameters: number;
  readonly numTargets: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** Flops a second of an SVD (Gram matrix and tridiagonal form) on one core. */
const SVD_FLOPS = 2.5e9;
/** Flops a second of a whole forward pass, on one core. */
const FORWARD_FLOPS = 30e9;
/** Bytes a second: copying, checking and hashing. */
const COPY_RATE = 250e6;
/** Bytes a second that quantising writes. */
const QUANTIZE_RATE = 150e6;
/**
 * The share of singular values that a basis keeps ÷ the threshold.
 * It is below 1, because the first values are the largest.
 */
const RANK_SHARE = 0.5;

export function estimateBuild(checkpoint: Checkpoint, options: BuildOptions): BuildEstimate {
  const { tensors, config } = checkpoint;
  const parameters = tensors.reduce((sum, { shape }) => sum + numElements(shape), 0);
  const weights = kindOf(options.weights, parameters);
  const bits = budgetBits(options.weights);
  const layouts = estimatedLayouts(checkpoint, weights, options.blockSize);
  const matrices = tensors.filter(({ shape }) => shape.length === 2);
  const stored = (tensor: (typeof tensors)[number]): number =>
    numElements(tensor.shape) * (weights === "float16" ? 2 : bytesPerElement(tensor.dtype));
  const packed = ({ name, shape }: (typeof tensors)[number]): number => {
    if (!layouts) return 0;
    const group = name === EMBEDDING || name === LM_HEAD ? LM_HEAD_GROUP : name;
    return (numElements(shape) * (bits ?? bitsPerWeight(layoutOf(layouts, group)))) / 8;
  };
  const { kept, originals } = tensorHomes(checkpoint, layouts, options.isSlim);
  const coded = tensors
    .filter(({ name }) => (originals[name] ?? SERVED) !== SERVED)
    .flatMap((tensor) => checkpoint.coded?.partsOf(tensor) ?? [])
    .map(({ shape, dtype }) => numElements(shape) * bytesPerElement(dtype));
  const targets = options.basisFrom === null ? chooseTargets(config, options.targets) : [];
  const bases = targets.map(({ dIn, dOut }) => {
    const [short, long] = [Math.min(dIn, dOut), Math.max(dIn, dOut)];
    const k = options.threshold * RANK_SHARE * short;
    return {
      bytes: 4 * (k * (dIn + dOut) + short),
      flops: short ** 2 * long + (4 / 3) * short ** 3 + 4 * k * short * long,
    };
  });
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
  const sourceBytes = total(tensors.map(stored));
  const packedBytes = total(matrices.map(packed));
  const svdSeconds = total(bases.map(({ flops }) => flops)) / SVD_FLOPS / options.numThreads;
  const budgetFlops = bits === null ? 0 : matricesOf(checkpoint).length * 2 * parameters * MAX_TOKENS;
  const budgetSeconds = budgetFlops / FORWARD_FLOPS / options.numThreads;
  return {
    parameters,
    numTargets: targets.length,
    bytes: Math.round(total(kept.map(stored)) + total(coded) + packedBytes + total(bases.map(({ bytes }) => bytes))),
    seconds: sourceBytes / COPY_RATE + packedBytes / QUANTIZE_RATE + svdSeconds + budgetSeconds,
  };
}

/** The layouts of most matrices, or null if the weights are not quantised. A budget is estimated as int4. */
function estimatedLayouts(
  checkpoint: Checkpoint,
  weights: Manifest["weights"],
  blockSize: number | null,
): WeightLayouts | null {
  if (weights === "float32" || weights === "float16") return null;
  return keptLayouts(checkpoint, layoutsOf(weights === "int8" ? "int8" : "int4", blockSize), blockSize);
}
