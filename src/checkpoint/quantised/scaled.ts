/**
 * Weights of 8 bits beside their scales: `weight` float8_e4m3fn or int8, and one scale for the matrix, for each row,
 * for each group of a row, or for each block. The scales' shape decides which. Source: transformers (fp8, fbgemm_fp8),
 * compressed-tensors (naive_quantized), ModelOpt (FP8).
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
} from "./coded-weight.ts";
import { codedIntegers } from "./integer-weight.ts";

/** Rows and columns of the blocks that share a scale, as the configuration states them. */
export type BlockShape = readonly [rows: number, columns: number];

const BYTE_SCALES = ["F8_E8M0", "uint8"];

/** @param marker the name of the scales. @param block null: the scales divide the matrix evenly */
export function scaledCodec(marker: ".weight_scale" | ".weight_scale_inv", block: BlockShape | null): WeightCodec {
  return {
    marker,
    // The scales of activations and of the cache are for other arithmetic than ours, and change no weight.
    parts: [".weight", marker, ".weight_zero_point", ".input_scale", ".activation_scale", ".input_zero_point"],
    accepts: (module, files) => {
      const type = files.entry(`${module}.weight`)?.dtype;
      return type === "F8_E4M3" || type === "int8";
    },
    open: async (module, files) => {
      const { dtype } = partOf(files, module, ".weight", 2);
      const grid = scaleGrid(module, files, marker, block);
      return dtype === "int8" ? openInt8(module, files, marker, grid) : openFloat8(module, files, marker, grid);
    },
  };
}

interface ScaleGrid {
  readonly rows: number;
  readonly columns: number;
  readonly blockRows: number;
  readonly blockColumns: number;
}

function scaleGrid(module: string, files: TensorFiles, marker: string, block: BlockShape | null): ScaleGrid {
  const [dOut = 0, dIn = 0] = partOf(files, module, ".weight", 2).shape;
  const { shape } = partOf(files, module, marker);
  const [rows, columns, ...more] = shape.length === 0 ? [1, 1] : shape.length === 1 ? [shape[0]!, 1] : shape;
  const [blockRows, blockColumns] = block ?? [];
  if (blockRows && blockColumns && rows === Math.ceil(dOut / blockRows) && columns === Math.ceil(dIn / blockColumns))
    return { rows, columns, blockRows, blockColumns };
  if (more.length > 0 || !rows || !columns || dOut % rows !== 0 || dIn % columns !== 0)
    throw invalidWeight(module, `${module}${marker} [${shape.join(",")}] does not divide a matrix [${dOut},${dIn}]`);
  return { rows, columns, blockRows: dOut / rows, blockColumns: dIn / columns };
}

async function readScales(module: string, files: TensorFiles, marker: string): Promise<Float32Array> {
  const { dtype, shape } = partOf(files, module, marker);
  // Powers of two, stored as their exponents.
  if (BYTE_SCALES.includes(dtype))
    return Float32Array.from(await files.readBytes(module + marker), (e) => 2 ** (e - 127));
  assertPart(files, module, marker, FLOATS, shape);
  return toFloat32(await files.read(module + marker));
}

async function openFloat8(module: string, files: TensorFiles, marker: string, grid: ScaleGrid): Promise<CodedWeight> {
  const [dOut = 0, dIn = 0] = partOf(files, module, ".weight", 2).shape;
  if (files.has(`${module}.weight_zero_point`))
    throw unsupportedWeight(module, "FP8 with zero points", "FP8 with scales only");
  return {
    type: "FP8",
    shape: [dOut, dIn],
    layout: null,
    decode: async () => {
      const bytes = await files.readBytes(`${module}.weight`);
      const scales = await readScales(module, files, marker);
      const table = float8Values();
      const values = new Float32Array(dOut * dIn);
      for (let row = 0; row < dOut; row++) {
        const first = Math.floor(row / grid.blockRows) * grid.columns;
        for (let i = 0; i < dIn; i++)
          values[row * dIn + i] = table[bytes[row * dIn + i]!]! * scales[first + Math.floor(i / grid.blockColumns)]!;
      }
      return values;
    },
    numbers: () => Promise.reject(new Error("internal: FP8 has no numbers to keep")),
  };
}

/** Stored as signed numbers. A graph's levels are greater by half of their range. */
async function openInt8(module: string, files: TensorFiles, marker: string, grid: ScaleGrid): Promise<CodedWeight> {
  const [dOut = 0, dIn = 0] = partOf(files, module, ".weight", 2).shape;
  if (grid.columns * grid.blockColumns !== dIn)
    throw unsupportedWeight(module, `blocks of ${grid.blockColumns} that do not divide ${dIn} inputs`, "whole blocks");
  const hasZeros = files.has(`${module}.weight_zero_point`);
  const { dtype, shape } = partOf(files, module, marker);
  if (hasZeros) assertPart(files, module, ".weight_zero_point", ["int8"], shape);
  const byRow = <T extends Float32Array | Uint8Array>(values: T, empty: (length: number) => T): T => {
    const all = empty(dOut * grid.columns);
    for (let row = 0; row < dOut; row++) {
      const from = Math.floor(row / grid.blockRows) * grid.columns;
      all.set(values.subarray(from, from + grid.columns), row * grid.columns);
    }
    return all;
  };
  const unsigned = async (name: string): Promise<Uint8Array> =>
    (await files.readBytes(name)).map((byte) => byte ^ 0x80);
  const middle = new Uint8Array(grid.rows * grid.columns).fill(128);
  return codedIntegers({
    type: "compressed-tensors, int8",
    shape: [dOut, dIn],
    bits: 8,
    numGroups: grid.columns,
    groupOf: null,
    scaleType: dtype === "float16" ? "float16" : "float32",
    read: async () => ({
      levels: await unsigned(`${module}.weight`),
      zeros: byRow(hasZeros ? await unsigned(`${module}.weight_zero_point`) : middle, (n) => new Uint8Array(n)),
      scales: byRow(await readScales(module, files, marker), (n) => new Float32Array(n)),
    }),
  });
}

let float8Table: Float32Array | undefined;

/**
 * The value of every byte of float8_e4m3fn: 4 bits of exponent (bias 7), no infinities, NaN in the last of each sign.
 */
function float8Values(): Float32Array {
  return (float8Table ??= Float32Array.from({ length: 256 }, (_, byte) => {
    const [sign, exponent, fraction] = [byte & 128 ? -1 : 1, (byte >> 3) & 15, byte & 7];
    if ((byte & 127) === 127) return Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7));
  }));
}
