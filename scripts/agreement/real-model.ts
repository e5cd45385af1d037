/** A real model under comparison, and the ways in which its weights are stored. */
import type { BuildOptions } from "../../src/base/build/build.ts";
import type { TextFiles } from "../../src/tokenizer/files/text-files.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import type { Results } from "./results.ts";

/**
 * The bases that are compared. Matrices keep the numbers of their file where they can. "again" rounds all of them from
 * float32, as llama.cpp does when it quantises the file.
 */
export const VARIANTS = {
  float32: { weights: "float32", blockSize: null },
  int8: { weights: "int8", blockSize: null },
  int4: { weights: "int4", blockSize: null },
  "int8 again": { weights: "int8", blockSize: 32 },
  "int4 again": { weights: "int4", blockSize: 32 },
} as const satisfies Readonly<Record<string, Pick<BuildOptions, "weights" | "blockSize">>>;
export type Variant = keyof typeof VARIANTS;

export interface RealModel {
  readonly name: string;
  readonly path: string;
  readonly results: Results;
  readonly tokenizer: Tokenizer;
  readonly files: TextFiles;
  /** A base directory, built where it is missing. */
  baseOf(variant: Variant): Promise<string>;
}

export const idsOf = ({ tokenizer }: RealModel, texts: readonly string[]): number[][] =>
  texts.map((text) => tokenizer.encode(text));
