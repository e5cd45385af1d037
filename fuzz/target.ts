/** A parser of bytes from outside, as the fuzzer sees it. */
import type { Random } from "./inputs/random.ts";

export interface Target {
  /** Also the name of its folder in test/fuzz/corpus. */
  readonly name: string;
  /** Makes the input of one run: good input with faults. */
  makeInput(random: Random): Uint8Array;
  /** Reads an input. Returns, or throws an AppError: every other error is a fault of ours. */
  read(input: Uint8Array): void | Promise<void>;
  /** Maximum processor time of one run, in seconds. */
  readonly maxSeconds: number;
}

/** Maximum processor time where a parser states none of its own. */
export const MAX_SECONDS = 2;
/** Maximum memory outside of JavaScript's heap that one run may take: 64 MiB. */
export const MAX_EXTERNAL_BYTES = 64 * 2 ** 20;
/** JavaScript's heap of the thread that reads, in MiB. A run that fills it is a fault. */
export const MAX_HEAP_MIB = 256;
