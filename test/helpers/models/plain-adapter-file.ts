/** Adapter files by a writer that has nothing in common with ours, as plain values to spoil. */
import { Packr } from "msgpackr";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import { AppError } from "../../../src/errors.ts";
import { bytesOf } from "../../../src/tensor/host-tensor.ts";

// A writer that has nothing in common with ours: the library alone.
export const pack = (value: unknown): Uint8Array => new Packr({ useRecords: false }).pack(value);

export interface PlainTarget {
  [key: string]: unknown;
  tensors: Record<string, { dtype: string; shape: readonly unknown[]; data: unknown }>;
}

export interface PlainFile {
  [key: string]: unknown;
  targets: PlainTarget[];
}

/** The file as docs/reference/mosara-file.md describes it, as a plain value to spoil. */
export function plainFile(adapter: Adapter): PlainFile {
  const { method, baseId, heads, router, card } = adapter;
  const targets = adapter.targets.map(({ tensors, ...rest }) => ({
    ...rest,
    tensors: Object.fromEntries(
      Object.entries(tensors).map(([key, t]) => [key, { dtype: t.dtype, shape: t.shape, data: bytesOf(t).slice() }]),
    ),
  }));
  return { magic: "mosara", version: 1, method, baseId, heads, router, targets, card };
}

/** The error of `work`; fails when it succeeds or fails otherwise. */
export function errorOf(work: () => unknown): AppError {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}
