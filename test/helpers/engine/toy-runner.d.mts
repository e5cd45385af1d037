import type { AdapterRef, DeviceFacts, EngineCapacity } from "../../../src/engine/protocol.ts";
import type { LogitRows } from "../../../src/engine/sampling/logit-rows.ts";
import type { ChunkRows } from "../../../src/engine/kv/prefix-cache.ts";
import type {
  DecodeRow,
  DraftModel,
  HiddenStep,
  KvRows,
  ModelRunner,
  PrefillStep,
  PrefixReuse,
  ReadyAdapter,
} from "../../../src/engine/contracts.ts";

export declare const TOY_VOCAB: number;
export declare const BAD_PREFILL: number;
export declare const BAD_STEP: number;
export declare const BAD_ROW: number;

export interface ToyOptions {
  readonly numRows?: number;
  /** Tokens the KV cache holds in all. */
  readonly maxTokens?: number;
  readonly maxModelLen?: number;
  /** How long each step takes. */
  readonly stepMs?: number;
  /** Of a merged engine, which takes no adapters. */
  readonly generation?: string | null;
  /** Gets a line `pid begin end` (ns) for every step. */
  readonly logPath?: string | null;
  /** Makes its prefix cache; none without it. */
  readonly prefixes?: (runner: ToyRunner) => PrefixReuse;
  readonly draftModel?: DraftModel;
  /** Whether it runs below a draft model, whose rows have no phases. */
  readonly isDraft?: boolean;
  readonly notFound?: (generation: string) => Error;
}

export declare function toyLogits(tokens: Iterable<number>, generation: string | null): Float32Array;
export declare function toyHidden(tokens: Iterable<number>, generation: string | null): Float32Array;
export declare function toyGreedy(prompt: readonly number[], generation: string | null, numTokens: number): number[];

export declare class ToyRunner implements ModelRunner {
  constructor(options?: ToyOptions);
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly isBatchInvariant: boolean;
  readonly capacity: EngineCapacity;
  readonly device: DeviceFacts;
  readonly kv: KvRows & { readonly rows: readonly { readonly id: number }[] };
  readonly adapters:
    | (ModelRunner["adapters"] & { readonly dropped: readonly string[]; get(ref: AdapterRef): ReadyAdapter | null })
    | null;
  readonly prefixes: PrefixReuse | null;
  readonly draftModel: DraftModel | null;
  readonly chunkRows: ChunkRows;
  readonly steps: readonly string[];
  readonly isClosed: boolean;
  prefill(step: PrefillStep): Promise<LogitRows>;
  prefillHidden(step: HiddenStep): Promise<Float32Array>;
  decode(rows: readonly DecodeRow[]): Promise<LogitRows>;
  close(): Promise<void>;
}
