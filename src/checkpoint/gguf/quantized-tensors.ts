/**
 * The tensors of a GGUF file whose blocks a graph can hold unchanged, so that their numbers are not rounded a second
 * time.
 */
import { codedBytes } from "../../formats/gguf/block-types.ts";
import type { GgufFile } from "../../formats/gguf/gguf-file.ts";
import type { GgufTensor } from "../../formats/gguf/header.ts";
import { KEPT_TYPES, type KeptType, keptBlocks } from "../../formats/gguf/kept-blocks.ts";
import { type QuantizedLayout, plainLayout } from "../../model/serve/quantized-matrix.ts";
import type { HostTensor } from "../../tensor/host-tensor.ts";
import type { CodedTensors, QuantizedTensors } from "../checkpoint.ts";
import { inHalves, joinedRows } from "./rows.ts";
import type { Recipe } from "./tensor-recipes.ts";

/** Reads a recipe's parts without decoding them, rows in our order. */
async function codedRows(file: GgufFile, { parts }: Recipe): Promise<HostTensor> {
  const rows: HostTensor[] = [];
  for (const part of parts) {
    const count = part.rows?.count ?? file.tensors.get(part.tensor)?.shape[0] ?? 0;
    const coded = await file.readCodedRows(part.tensor, part.rows?.first ?? 0, count);
    rows.push(part.turnedHeads === undefined ? coded : inHalves(coded, part.turnedHeads));
  }
  const numRows = rows.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  return joinedRows(rows, "uint8", [numRows, rows[0]?.shape[1] ?? 0]);
}

/** @param sourceOf the stored name of a tensor that is stored under another name */
export function quantizedTensors(
  file: GgufFile,
  recipes: ReadonlyMap<string, Recipe>,
  sourceOf: (name: string) => string,
): { readonly quantized: QuantizedTensors; readonly coded: CodedTensors } {
  const partsOf = (name: string): readonly GgufTensor[] =>
    recipes.get(sourceOf(name))?.parts.flatMap(({ tensor }) => file.tensors.get(tensor) ?? []) ?? [];
  const typeOf = (name: string): string | null => {
    const blocks = partsOf(name).filter(({ type }) => type.decode !== null);
    const types = new Set(blocks.map(({ type }) => type.name));
    return types.size === 0 ? null : [...types].join(" and ");
  };
  const wholeTypeOf = (name: string): string | null => {
    const type = typeOf(name);
    const isWhole = partsOf(name).every((tensor) => tensor.type.name === type && tensor.shape.length === 2);
    return isWhole && recipes.get(sourceOf(name))?.subtract === 0 ? type : null;
  };
  const keptTypeOf = (name: string): KeptType | undefined => {
    const type = wholeTypeOf(name);
    return KEPT_TYPES.find((kept) => kept === type);
  };
  const read = async (name: string): Promise<HostTensor> => {
    const recipe = recipes.get(sourceOf(name));
    if (!recipe || wholeTypeOf(name) === null) throw new Error(`internal: ${name} has no blocks of one type`);
    return await codedRows(file, recipe);
  };
  const quantized: QuantizedTensors = {
    typeOf,
    layoutOf: (name) => keptLayout(keptTypeOf(name)),
    read: async (name) => {
      const type = keptTypeOf(name);
      const layout = keptLayout(type);
      if (type === undefined || layout === null) throw new Error(`internal: ${name} has no numbers to keep`);
      const coded = await read(name);
      const blocks = keptBlocks(type, coded.data as Uint8Array); // as codedRows says
      const dIn = partsOf(name)[0]?.shape[1] ?? 0;
      return { layout, dOut: coded.shape[0] ?? 0, dIn, zeroPoints: null, ...blocks };
    },
  };
  const coded: CodedTensors = {
    typeOf: wholeTypeOf,
    partsOf: ({ name, shape: [numRows = 0, dIn = 0] }) => {
      const shape = [numRows, codedBytes(wholeTypeOf(name) ?? "", dIn)];
      return [{ name, dtype: "uint8", shape, read: () => read(name) }];
    },
    settings: null,
  };
  return { quantized, coded };
}

const KEPT_LAYOUTS: Readonly<Record<KeptType, QuantizedLayout>> = {
  Q4_0: blocksOf32(4, "float16"),
  Q4_1: { ...blocksOf32(4, "float16"), hasMinimums: true },
  Q8_0: blocksOf32(8, "float16"),
  Q4_K: { ...blocksOf32(4, "float32"), hasMinimums: true },
};

function blocksOf32(bits: 4 | 8, scaleType: QuantizedLayout["scaleType"]): QuantizedLayout {
  return { ...plainLayout(bits, 32), scaleType };
}

/** The layout in which a graph holds blocks of a type unchanged. */
function keptLayout(type: KeptType | undefined): QuantizedLayout | null {
  return type === undefined ? null : KEPT_LAYOUTS[type];
}
