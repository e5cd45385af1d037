/**
 * How long a build will take and how large the base will be, before anything is done. Sizes of weights are exact; ranks are not known
 * yet, so bases are guessed; speeds are those of one core of an AMD EPYC (AVX2), measured.
 */
import { bytesPerElement } from "../../tensor/dtype.ts";
import { numElements } from "../../tensor/host-tensor.ts";
import { type BuildOptions, kindOf, weightFormat } from "./build.ts";
import { keptTensors } from "./build-weights.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { chooseTargets } from "./targets.ts";

export interface BuildEstimate {
  readonly parameters: number;
  readonly numTargets: number;
  readonly bytes: number;
  readonly seconds: number;
}

// One core: Gram matrix and tridiagonal form of an SVD, flops a second; copying, checking and hashing, and quantising, bytes a second.
const SVD_FLOPS = 2.5e9;
const COPY_RATE = 250e6;
const QUANTIZE_RATE = 150e6;
/** Leading singular values that make up a share of the sum are fewer than that share: the first ones are the largest. */
const RANK_SHARE = 0.5;

export function estimateBuild(checkpoint: Checkpoint, options: BuildOptions): BuildEstimate {
  const { tensors, config } = checkpoint;
  const parameters = tensors.reduce((sum, { shape }) => sum + numElements(shape), 0);
  const weights = kindOf(options.weights, parameters);
  const format = weightFormat(weights, options.blockSize);
  const matrices = tensors.filter(({ shape }) => shape.length === 2);
  const stored = (tensor: (typeof tensors)[number]): number =>
    numElements(tensor.shape) * (weights === "float16" ? 2 : bytesPerElement(tensor.dtype));
  const packed = (shape: readonly number[]): number =>
    format.kind === "stored" ? 0 : numElements(shape) * (format.bits / 8 + 4 / format.blockSize);
  const kept = keptTensors(checkpoint, weights, options.isSlim);
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
  const packedBytes = total(matrices.map(({ shape }) => packed(shape)));
  const svdSeconds = total(bases.map(({ flops }) => flops)) / SVD_FLOPS / options.numThreads;
  return {
    parameters,
    numTargets: targets.length,
    bytes: Math.round(total(kept.map(stored)) + packedBytes + total(bases.map(({ bytes }) => bytes))),
    seconds: sourceBytes / COPY_RATE + packedBytes / QUANTIZE_RATE + svdSeconds,
  };
}
