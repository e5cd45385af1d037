/**
 * AWQ in its `gemm` packing: `qweight` [dIn,dOut/8], `qzeros` [groups,dOut/8] and `scales` [groups,dOut]. Eight outputs
 * share a word, in an order of their own. Source: AutoAWQ, utils/packing_utils.py.
 */
// Indices are bounded by their loops, hence `!`.
import { toFloat32 } from "../../tensor/host-tensor.ts";
import type { TensorFiles } from "../tensor-files.ts";
import { type CodedWeight, FLOATS, type WeightCodec, assertPart, invalidWeight, partOf } from "./coded-weight.ts";
import { codedIntegers, turned, unpackedFields } from "./integer-weight.ts";

/** The output that each field of a word belongs to. */
const FIELD_OUTPUTS = [0, 2, 4, 6, 1, 3, 5, 7] as const;

export const awqCodec: WeightCodec = {
  marker: ".qweight",
  parts: [".qweight", ".qzeros", ".scales"],
  accepts: () => true,
  open: openAwq,
};

async function openAwq(module: string, files: TensorFiles): Promise<CodedWeight> {
  const [dIn = 0, words = 0] = partOf(files, module, ".qweight", 2).shape;
  const dOut = 8 * words;
  const numGroups = partOf(files, module, ".scales", 2).shape[0] ?? 0;
  if (numGroups === 0 || dIn % numGroups !== 0)
    throw invalidWeight(module, `its ${dIn} inputs are not divided evenly by ${numGroups} groups`);
  assertPart(files, module, ".qweight", ["int32"], [dIn, words]);
  assertPart(files, module, ".qzeros", ["int32"], [numGroups, words]);
  assertPart(files, module, ".scales", FLOATS, [numGroups, dOut]);
  const outputsFirst = async (ending: string, rows: number): Promise<Uint8Array> => {
    const { data } = await files.read(module + ending);
    return turned(inOrder(unpackedFields(data as Int32Array, 4)), rows, dOut);
  };
  return codedIntegers({
    type: "AWQ, 4 bits",
    shape: [dOut, dIn],
    bits: 4,
    numGroups,
    groupOf: null,
    scaleType: partOf(files, module, ".scales").dtype === "float16" ? "float16" : "float32",
    read: async () => ({
      levels: await outputsFirst(".qweight", dIn),
      zeros: await outputsFirst(".qzeros", numGroups),
      scales: turned(toFloat32(await files.read(`${module}.scales`)), numGroups, dOut),
    }),
  });
}

function inOrder(fields: Uint8Array): Uint8Array {
  const ordered = new Uint8Array(fields.length);
  for (let word = 0; word < fields.length; word += 8)
    for (let k = 0; k < 8; k++) ordered[word + FIELD_OUTPUTS[k]!] = fields[word + k]!;
  return ordered;
}
