/** A quantised weight of a checkpoint: several tensors of the files that are one matrix of the model. */
import { AppError } from "../../errors.ts";
import type { QuantizedLayout, QuantizedMatrix } from "../../model/serve/quantized-matrix.ts";
import type { HostTensor } from "../../tensor/host-tensor.ts";
import type { StoredEntry } from "../stored-tensors.ts";
import type { TensorFiles } from "../tensor-files.ts";

export interface CodedWeight {
  /** Name of its numbers for users, such as "GPTQ, 4 bits". */
  readonly type: string;
  /** [dOut,dIn] */
  readonly shape: readonly [dOut: number, dIn: number];
  /** The layout in which a graph holds its numbers unchanged; null where there is none. */
  readonly layout: QuantizedLayout | null;
  /** float32 [dOut,dIn] */
  decode(): Promise<Float32Array>;
  /** The numbers themselves, where `layout` is not null. */
  numbers(): Promise<QuantizedMatrix>;
}

/** One way to store a weight as several tensors. */
export interface WeightCodec {
  /** Ending of the tensor by which such a weight is recognised. */
  readonly marker: string;
  /** Endings of all tensors that belong to it. */
  readonly parts: readonly string[];
  /** Whether a module with the marker is such a weight. */
  readonly accepts: (module: string, files: TensorFiles) => boolean;
  /** Checks types and shapes, and reads what is small. @throws {AppError} checkpoint_invalid, checkpoint_unsupported */
  readonly open: (module: string, files: TensorFiles) => Promise<CodedWeight>;
}

export function invalidWeight(module: string, problem: string): AppError {
  return new AppError(
    "checkpoint_invalid",
    `The quantised weight of ${module} cannot be decoded: ${problem}. Download the checkpoint again.`,
  );
}

export function unsupportedWeight(module: string, found: string, supported: string): AppError {
  return new AppError(
    "checkpoint_unsupported",
    `The quantised weight of ${module} has ${found}; supported: ${supported}. Use the unquantised checkpoint. mosara build quantises it.`,
  );
}

/**
 * A part's type and shape. @throws {AppError} checkpoint_invalid where it is missing or has another number of
 * dimensions
 */
export function partOf(files: TensorFiles, module: string, ending: string, rank?: number): StoredEntry {
  const entry = files.entry(module + ending);
  if (!entry) throw invalidWeight(module, `it lacks the tensor ${module}${ending}`);
  if (rank !== undefined && entry.shape.length !== rank)
    throw invalidWeight(module, `${module}${ending} has the shape [${entry.shape.join(",")}], not ${rank} dimensions`);
  return entry;
}

/** Checks a part's type and shape. @throws {AppError} checkpoint_invalid */
export function assertPart(
  files: TensorFiles,
  module: string,
  ending: string,
  types: readonly string[],
  shape: readonly number[],
): void {
  const entry = partOf(files, module, ending);
  if (types.includes(entry.dtype) && entry.shape.join() === shape.join()) return;
  throw invalidWeight(
    module,
    `${module}${ending} is ${entry.dtype} [${entry.shape.join(",")}], not ${types.join(" or ")} [${shape.join(",")}]`,
  );
}

export const FLOATS = ["float16", "bfloat16", "float32"] as const;

/** Whole numbers of a small tensor, int32 or int64. */
export function wholeNumbers({ data }: HostTensor): readonly number[] {
  return Array.from(data as Int32Array, Number);
}
