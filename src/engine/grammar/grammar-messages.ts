/** Messages between the engine's own thread and its grammar thread. Types only. */
import type { WireError } from "../../errors.ts";
import type { GrammarSpec } from "../../grammar/grammar-spec.ts";

export interface GrammarThreadData {
  readonly tokenizerDir: string;
  readonly vocabSize: number;
  /** Greatest number of guessed tokens that one run computes for an answer; 0: none. */
  readonly maxDraft: number;
}

export type GrammarOrder =
  /** Compile a grammar and write the first mask of a sequence. */
  | {
      readonly type: "bind";
      readonly id: number;
      readonly spec: GrammarSpec;
      readonly memory: SharedArrayBuffer;
      /** Drafts may repeat them. */
      readonly promptIds: Int32Array;
    }
  /** A token was generated; `numTokens` includes it. */
  | { readonly type: "read"; readonly id: number; readonly tokenId: number; readonly numTokens: number }
  | { readonly type: "release"; readonly id: number };

/** The outcome of an order to bind. */
export interface GrammarReply {
  readonly id: number;
  /** Why the grammar cannot be bound; null where it is bound. */
  readonly error: WireError | null;
}
