/**
 * GPTQ: `qweight` int32 packed along the inputs, `qzeros` packed along the outputs, `scales` [groups,dOut], and
 * `g_idx`, the group of each input. Files of the first version store every zero point less one. Source: AutoGPTQ and
 * GPTQModel, qlinear.
 */
// Indices are bounded by their loops, hence `!`.
import { type HostTensor, toFloat32 } from "../../tensor/host-tensor.ts";
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
import { codedIntegers, turned, unpackedFields } from "./integer-weight.ts";

/**
 * @param isShifted whether zero points are stored less one.
 * @param bits for a weight without g_idx, whose length shows the bits
 */
export function gptqCodec(isShifted: boolean, bits: 4 | 8): WeightCodec {
  return {
    marker: ".qweight",
    parts: [".qweight", ".qzeros", ".scales", ".g_idx"],
    accepts: () => true,
    open: (module, files) => openGptq(module, files, isShifted, bits),
  };
}

async function openGptq(module: string, files: TensorFiles, isShifted: boolean, usual: 4 | 8): Promise<CodedWeight> {
  const [rows = 0, dOut = 0] = partOf(files, module, ".qweight", 2).shape;
  const hasGroups = files.has(`${module}.g_idx`);
  const dIn = hasGroups ? (partOf(files, module, ".g_idx", 1).shape[0] ?? 0) : (rows * 32) / usual;
  const width = dIn === 0 ? 0 : (32 * rows) / dIn;
  if (width !== 4 && width !== 8) throw unsupportedWeight(module, `${width} bits`, "GPTQ with 4 or 8 bits");
  const numGroups = partOf(files, module, ".scales", 2).shape[0] ?? 0;
  const perWord = 32 / width;
  assertPart(files, module, ".qweight", ["int32"], [dIn / perWord, dOut]);
  assertPart(files, module, ".qzeros", ["int32"], [numGroups, dOut / perWord]);
  assertPart(files, module, ".scales", FLOATS, [numGroups, dOut]);
  if (hasGroups) assertPart(files, module, ".g_idx", ["int32", "int64"], [dIn]);
  const groupOf = hasGroups ? wholeNumbers(await files.read(`${module}.g_idx`)) : null;
  if (groupOf?.some((group) => group < 0 || group >= numGroups))
    throw invalidWeight(module, `${module}.g_idx names a group beyond its ${numGroups}`);
  return codedIntegers({
    type: `GPTQ, ${width} bits`,
    shape: [dOut, dIn],
    bits: width,
    numGroups,
    groupOf: isInSequence(groupOf, dIn, numGroups) ? null : groupOf,
    scaleType: partOf(files, module, ".scales").dtype === "float16" ? "float16" : "float32",
    read: async () => ({
      levels: levelsOf(await files.read(`${module}.qweight`), dIn, dOut, width),
      zeros: zerosOf(await files.read(`${module}.qzeros`), numGroups, dOut, width, isShifted),
      scales: turned(toFloat32(await files.read(`${module}.scales`)), numGroups, dOut),
    }),
  });
}

/** Whether groups have one size and follow each other. */
function isInSequence(groupOf: readonly number[] | null, dIn: number, numGroups: number): boolean {
  const size = dIn / numGroups;
  return Number.isInteger(size) && (groupOf === null || groupOf.every((group, i) => group === Math.floor(i / size)));
}

function levelsOf({ data }: HostTensor, dIn: number, dOut: number, bits: 4 | 8): Uint8Array {
  const fields = unpackedFields(data as Int32Array, bits); // [dIn/perWord, dOut, perWord]
  const perWord = 32 / bits;
  const levels = new Uint8Array(dIn * dOut);
  for (let row = 0; row < dIn / perWord; row++)
    for (let out = 0; out < dOut; out++)
      for (let k = 0; k < perWord; k++)
        levels[out * dIn + row * perWord + k] = fields[(row * dOut + out) * perWord + k]!;
  return levels;
}

function zerosOf({ data }: HostTensor, numGroups: number, dOut: number, bits: 4 | 8, isShifted: boolean): Uint8Array {
  const zeros = turned(unpackedFields(data as Int32Array, bits), numGroups, dOut);
  const top = 2 ** bits - 1;
  return isShifted ? zeros.map((zero) => (zero + 1) & top) : zeros;
}
