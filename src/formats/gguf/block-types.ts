/**
 * The tensor types of GGUF files: values and bytes of a block, and its decoder.
 * Types without a decoder are listed so that they can be refused by name.
 * Source: ggml's type traits. Every decoder is bit-identical to the PyPI package gguf (`test/golden/gguf`).
 */
import type { DType } from "../../tensor/dtype.ts";
import { decodeQ2K, decodeQ3K, decodeQ4K, decodeQ5K, decodeQ6K } from "./k-blocks.ts";
import { decodeIq4Nl, decodeIq4Xs } from "./nonlinear-blocks.ts";
import { decodeQ40, decodeQ41, decodeQ50, decodeQ51, decodeQ80 } from "./plain-blocks.ts";

/** Decodes `bytes`, whole blocks in sequence, into `values` from `start` on. Every value equals float32 arithmetic. */
export type BlockDecoder = (bytes: Uint8Array, values: Float32Array, start: number) => void;

export interface BlockType {
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  /** Our type of the tensor: its own element type, or float32 where it is decoded. null: not supported. */
  readonly dtype: DType | null;
  readonly decode: BlockDecoder | null;
}

function stored(name: string, dtype: DType, blockBytes: number): BlockType {
  return { name, blockSize: 1, blockBytes, dtype, decode: null };
}

function decoded(name: string, blockSize: number, blockBytes: number, decode: BlockDecoder): BlockType {
  return { name, blockSize, blockBytes, dtype: "float32", decode };
}

function unread(name: string, blockSize: number, blockBytes: number): BlockType {
  return { name, blockSize, blockBytes, dtype: null, decode: null };
}

const TYPES: ReadonlyMap<number, BlockType> = new Map([
  [0, stored("F32", "float32", 4)],
  [1, stored("F16", "float16", 2)],
  [2, decoded("Q4_0", 32, 18, decodeQ40)],
  [3, decoded("Q4_1", 32, 20, decodeQ41)],
  [6, decoded("Q5_0", 32, 22, decodeQ50)],
  [7, decoded("Q5_1", 32, 24, decodeQ51)],
  [8, decoded("Q8_0", 32, 34, decodeQ80)],
  [9, unread("Q8_1", 32, 40)],
  [10, decoded("Q2_K", 256, 84, decodeQ2K)],
  [11, decoded("Q3_K", 256, 110, decodeQ3K)],
  [12, decoded("Q4_K", 256, 144, decodeQ4K)],
  [13, decoded("Q5_K", 256, 176, decodeQ5K)],
  [14, decoded("Q6_K", 256, 210, decodeQ6K)],
  [15, unread("Q8_K", 256, 292)],
  [16, unread("IQ2_XXS", 256, 66)],
  [17, unread("IQ2_XS", 256, 74)],
  [18, unread("IQ3_XXS", 256, 98)],
  [19, unread("IQ1_S", 256, 50)],
  [20, decoded("IQ4_NL", 32, 18, decodeIq4Nl)],
  [21, unread("IQ3_S", 256, 110)],
  [22, unread("IQ2_S", 256, 82)],
  [23, decoded("IQ4_XS", 256, 136, decodeIq4Xs)],
  [24, unread("I8", 1, 1)],
  [25, unread("I16", 1, 2)],
  [26, unread("I32", 1, 4)],
  [27, unread("I64", 1, 8)],
  [28, unread("F64", 1, 8)],
  [29, unread("IQ1_M", 256, 56)],
  [30, stored("BF16", "bfloat16", 2)],
  [34, unread("TQ1_0", 256, 54)],
  [35, unread("TQ2_0", 256, 66)],
  [39, unread("MXFP4", 32, 17)],
  [40, unread("NVFP4", 64, 36)],
  [41, unread("Q1_0", 128, 18)],
]);

export function blockTypeOf(id: number): BlockType | undefined {
  return TYPES.get(id);
}

/** Bytes of a row of values in blocks of a type that is decoded. */
export function codedBytes(name: string, numValues: number): number {
  const type = [...TYPES.values()].find((one) => one.name === name);
  return type ? (numValues / type.blockSize) * type.blockBytes : 0;
}

/** A type that is decoded; undefined for other names. */
export function decoderNamed(name: string): BlockDecoder | undefined {
  return [...TYPES.values()].find((type) => type.name === name)?.decode ?? undefined;
}

/** Names of the types whose tensors can be read. */
export const READABLE_TYPES: readonly string[] = [...TYPES.values()]
  .filter(({ dtype }) => dtype !== null)
  .map(({ name }) => name);
