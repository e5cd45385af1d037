/**
 * The layout of each matrix in a quantised base: one default, and exceptions
 * by group name. The meaning of `int8` and `int4` is defined only here.
 */
import { type QuantizedLayout, plainLayout } from "./quantized-matrix.ts";
import type { WeightFormat } from "../weights.ts";

/** Key of the vocabulary projection's layout. */
export const LM_HEAD_GROUP = "lm_head";
const DEFAULT = "default";

/** Layouts by group name; `default` applies to all other groups. */
export type WeightLayouts = Readonly<Record<string, QuantizedLayout>>;

/** The kinds of weights that have layouts. */
export type QuantizedKind = "int8" | "int4";

/**
 * Activations are rounded in blocks of the same size as the weights, so small blocks matter even if the weights would
 * not need them.
 */
const BLOCK_SIZE = 32;

/**
 * The layouts of a kind. int8 has zero points, which cost no time. int4 has minimums, like llama.cpp's Q4_1, because
 * integer zero points of 4 bits lose a third more (docs/log/2026-11.md). int4 keeps the vocabulary projection at 8
 * bits, because its errors reach the answer directly.
 * @param blockSize null: the default of the kind
 */
export function layoutsOf(kind: QuantizedKind, blockSize: number | null): WeightLayouts {
  const size = blockSize ?? BLOCK_SIZE;
  const blocks = (bits: 4 | 8): QuantizedLayout => ({ ...plainLayout(bits, size), scaleType: "float16" });
  if (kind === "int8") return { [DEFAULT]: { ...blocks(8), hasZeroPoints: true } };
  return { [DEFAULT]: { ...blocks(4), hasMinimums: true }, [LM_HEAD_GROUP]: blocks(8) };
}

/** The layouts among which a budget of bits chooses: those of the kinds, and the smallest one. */
export function budgetLayouts(): readonly QuantizedLayout[] {
  const smallest: QuantizedLayout = { ...plainLayout(4, BLOCK_SIZE), scaleType: "float16" };
  return [smallest, ...Object.values(layoutsOf("int4", null)), ...Object.values(layoutsOf("int8", null))];
}

/** A group's layout. */
export function layoutOf(layouts: WeightLayouts, group: string): QuantizedLayout {
  const layout = layouts[group] ?? layouts[DEFAULT];
  if (!layout) throw new Error("internal: layouts without a default");
  return layout;
}

/** The storage of a group's weights in a graph; `layouts` is null where they are not quantised. */
export function formatOf(layouts: WeightLayouts | null, group: string): WeightFormat {
  return layouts ? { kind: "quantized", ...layoutOf(layouts, group) } : { kind: "stored" };
}

/** Adds layouts of single groups. Layouts equal to the default are left out. */
export function withOwn(layouts: WeightLayouts, own: ReadonlyMap<string, QuantizedLayout>): WeightLayouts {
  const isOther = ([group, layout]: [string, QuantizedLayout]): boolean =>
    JSON.stringify(layout) !== JSON.stringify(layoutOf(layouts, group));
  return { ...layouts, ...Object.fromEntries([...own].filter(isOther)) };
}
