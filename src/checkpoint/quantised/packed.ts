/**
 * compressed-tensors' packed integers: `weight_packed` int32 along the inputs, `weight_scale` [dOut,groups],
 * `weight_zero_point` packed along the outputs, and `weight_shape`. Levels are stored plus half of their range.
 * Source: compressed-tensors, compressors/pack_quantized.
 */
// Indices are bounded by their loops, hence `!`.
import { toFloat32 } from "../../tensor/host-tensor.ts";
import type { TensorFiles } from "../tensor-files.ts";
import {
  type CodedWeight,
  FLOATS,
  type WeightCodec,
  assertPart,
  invalidWeight,
  partOf,
  unsupportedWeight,
  wholeNumbers,
} from "./coded-weight.ts";
import { codedIntegers, unpackedFields } from "./integer-weight.ts";

export const packedCodec: WeightCodec = {
  marker: ".weight_packed",
  parts: [".weight_packed", ".weight_scale", ".weight_zero_point", ".weight_shape"],
  accepts: () => true,
  open: openPacked,
};

async function openPacked(module: string, files: TensorFiles): Promise<CodedWeight> {
  if (files.has(`${module}.weight_g_idx`))
    throw unsupportedWeight(module, "groups in the order of activations (weight_g_idx)", "groups in sequence");
  const [dOut = 0, words = 0] = partOf(files, module, ".weight_packed", 2).shape;
  const [stored, dIn = 0] = wholeNumbers(await files.read(`${module}.weight_shape`));
  const bits = ([4, 8] as const).find((width) => Math.ceil((dIn * width) / 32) === words);
  if (stored !== dOut) throw invalidWeight(module, `${module}.weight_shape names ${stored} rows instead of ${dOut}`);
  if (bits === undefined) throw unsupportedWeight(module, `${(32 * words) / dIn} bits`, "4 or 8 bits");
  const numGroups = partOf(files, module, ".weight_scale", 2).shape[1] ?? 0;
  if (numGroups === 0 || dIn % numGroups !== 0)
    throw invalidWeight(module, `its ${dIn} inputs are not divided evenly by ${numGroups} groups`);
  const hasZeros = files.has(`${module}.weight_zero_point`);
  assertPart(files, module, ".weight_packed", ["int32"], [dOut, words]);
  assertPart(files, module, ".weight_scale", FLOATS, [dOut, numGroups]);
  if (hasZeros) assertPart(files, module, ".weight_zero_point", ["int32"], [Math.ceil((dOut * bits) / 32), numGroups]);
  return codedIntegers({
    type: `compressed-tensors, ${bits} bits`,
    shape: [dOut, dIn],
    bits,
    numGroups,
    groupOf: null,
    scaleType: partOf(files, module, ".weight_scale").dtype === "float16" ? "float16" : "float32",
    read: async () => ({
      levels: firstOfRows(await fieldsOf(files, `${module}.weight_packed`, bits), dOut, dIn),
      zeros: hasZeros
        ? zerosOf(await fieldsOf(files, `${module}.weight_zero_point`, bits), dOut, numGroups, 32 / bits)
        : new Uint8Array(dOut * numGroups).fill(2 ** (bits - 1)),
      scales: toFloat32(await files.read(`${module}.weight_scale`)),
    }),
  });
}

async function fieldsOf(files: TensorFiles, name: string, bits: 4 | 8): Promise<Uint8Array> {
  return unpackedFields((await files.read(name)).data as Int32Array, bits); // as assertPart checked
}

/** The last word of a row may be padded. */
function firstOfRows(fields: Uint8Array, rows: number, columns: number): Uint8Array {
  const stride = fields.length / rows;
  if (stride === columns) return fields;
  const values = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++) values.set(fields.subarray(row * stride, row * stride + columns), row * columns);
  return values;
}

/** @param fields [dOut/perWord, groups, perWord] */
function zerosOf(fields: Uint8Array, dOut: number, numGroups: number, perWord: number): Uint8Array {
  const zeros = new Uint8Array(dOut * numGroups);
  for (let out = 0; out < dOut; out++)
    for (let group = 0; group < numGroups; group++)
      zeros[out * numGroups + group] =
        fields[(Math.floor(out / perWord) * numGroups + group) * perWord + (out % perWord)]!;
  return zeros;
}
