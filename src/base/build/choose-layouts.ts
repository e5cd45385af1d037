/**
 * Chooses the layouts of a base's matrices; the default is the layout of its kind of weights. Zero points replace
 * minimums where blocks do not divide the rows. Scales are float32 where float16 would lose their digits. A matrix that
 * was quantised before, in blocks that a graph can hold, keeps its numbers. One tensor is in memory at a time.
 */
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { allGroups } from "../../model/linears.ts";
import { type QuantizedLayout, isSameLayout } from "../../model/serve/quantized-matrix.ts";
import {
  LM_HEAD_GROUP,
  type QuantizedKind,
  type WeightLayouts,
  layoutOf,
  layoutsOf,
  withOwn,
} from "../../model/serve/weight-layouts.ts";
import { EMBEDDING, LM_HEAD, linearWeight } from "../../model/weight-names.ts";
import { type HostTensor, toFloat32 } from "../../tensor/host-tensor.ts";

/** Range for a matrix's greatest weight in which float16 holds the scales with all their digits. */
const HALF_RANGE = { least: 2 ** -7, greatest: 2 ** 15 };

/** @param blockSize null: the default of the kind */
export async function chooseLayouts(
  checkpoint: Checkpoint,
  kind: QuantizedKind,
  blockSize: number | null,
): Promise<WeightLayouts> {
  const layouts = layoutsOf(kind, blockSize);
  const own = new Map<string, QuantizedLayout>();
  for (const { group, dIn, tensors } of matricesOf(checkpoint)) {
    if (blockSize === null && keptLayout(checkpoint, tensors)) continue;
    own.set(group, fittedLayout(layoutOf(layouts, group), dIn, await greatestWeight(checkpoint, tensors)));
  }
  return withOwn(keptLayouts(checkpoint, layouts, blockSize), own);
}

/** A layout that the rows and the numbers of a matrix allow. @param greatest the greatest magnitude of its weights */
export function fittedLayout(usual: QuantizedLayout, dIn: number, greatest: number): QuantizedLayout {
  const isDivided = dIn % usual.blockSize === 0;
  const shaped = isDivided ? usual : { ...usual, hasMinimums: false, hasZeroPoints: true };
  const isHalf = greatest === 0 || (greatest >= HALF_RANGE.least && greatest <= HALF_RANGE.greatest);
  return isHalf ? shaped : { ...shaped, scaleType: "float32" };
}

/**
 * Adds the layouts of the matrices that keep their numbers. Reads no tensor. @param blockSize null: they may keep them
 */
export function keptLayouts(
  checkpoint: Pick<Checkpoint, "config" | "tensors" | "quantized">,
  layouts: WeightLayouts,
  blockSize: number | null,
): WeightLayouts {
  if (blockSize !== null) return layouts;
  const kept = matricesOf(checkpoint).map(({ group, tensors }) => [group, keptLayout(checkpoint, tensors)] as const);
  return withOwn(layouts, new Map(kept.flatMap(([group, layout]) => (layout ? [[group, layout] as const] : []))));
}

export interface Matrix {
  readonly group: string;
  readonly dIn: number;
  /** The tensors of the matrix, concatenated along the rows. */
  readonly tensors: readonly string[];
}

/** Every matrix of a product; the vocabulary projection is the last. */
export function matricesOf({ config, tensors }: Pick<Checkpoint, "config" | "tensors">): readonly Matrix[] {
  const head = tensors.some(({ name }) => name === LM_HEAD) ? LM_HEAD : EMBEDDING;
  const groups = allGroups(config).map(({ name, dIn, members }): Matrix => ({
    group: name,
    dIn,
    tensors: members.map((one) => linearWeight(one.name)),
  }));
  return [...groups, { group: LM_HEAD_GROUP, dIn: config.hiddenSize, tensors: [head] }];
}

/** The layout that holds all of them as they were quantised before; null where there is none. */
export function keptLayout(
  { quantized }: Pick<Checkpoint, "quantized">,
  tensors: readonly string[],
): QuantizedLayout | null {
  const layouts = tensors.map((name) => quantized?.layoutOf(name) ?? null);
  const [first = null] = layouts;
  return layouts.every((layout) => isSameLayout(layout, first)) ? first : null;
}

async function greatestWeight(checkpoint: Checkpoint, tensors: readonly string[]): Promise<number> {
  let greatest = 0;
  for (const name of tensors) greatest = Math.max(greatest, greatestOf(await checkpoint.read(name)));
  return greatest;
}

/**
 * The greatest magnitude of a tensor. The patterns of 16-bit floats without their signs have the order of their values.
 */
function greatestOf({ dtype, shape, data }: HostTensor): number {
  if (dtype !== "float16" && dtype !== "bfloat16") return greatestValue(toFloat32({ dtype, shape, data }));
  const halves = data as Uint16Array; // of such dtypes
  let greatest = 0;
  for (let i = 0; i < halves.length; i++) {
    const magnitude = halves[i]! & 0x7fff; // i < length
    if (magnitude > greatest) greatest = magnitude;
  }
  return toFloat32({ dtype, shape: [1], data: Uint16Array.of(greatest) })[0]!; // one value
}

/** The greatest magnitude. */
export function greatestValue(values: Float32Array): number {
  let greatest = 0;
  for (const value of values) greatest = Math.max(greatest, Math.abs(value));
  return greatest;
}
