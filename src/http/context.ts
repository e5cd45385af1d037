/**
 * Everything the routes work with: the engine, the store, text and facts of the base. The command `serve` passes them
 * in. The interfaces have only what HTTP needs, so that a test can pass in a small real part.
 */
import type { Context } from "hono";
import type { Logger } from "pino";
import type { BaseSignature } from "../adapter/adapter.ts";
import type { Engine, Readiness } from "../engine/engine.ts";
import type { Caller } from "../keys/caller.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import type { Limiter } from "../limits/limiter.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { AdapterDirectory } from "../store/directory/adapter-directory.ts";
import type { Rollouts } from "../rollout/rollouts.ts";
import type { ReceiptIssuer } from "../receipt/receipt-issuer.ts";
import type { AdapterStore } from "../store/adapter-store.ts";
import type { SharedStore } from "../store/published/shared-store.ts";
import type { AdapterFits } from "./adapters/adapter-fits.ts";
import type { AccessPolicy } from "./access-policy.ts";
import type { AnswerFormats } from "./completion/answer-format/answer-formats.ts";
import type { InlineAdapters } from "./completion/model/inline-adapters.ts";
import type { Training } from "./fine-tuning/training.ts";
import type { GenerationNames } from "./generation-names.ts";
import type { ResponseStore } from "./completion/responses/response-store.ts";
import type { Residency } from "./residency.ts";
import type { InFlight } from "./request/in-flight.ts";
import type { Placements } from "../placement/placements.ts";
import type { RequestRecord } from "./request/request-record.ts";

/** A part of the outgoing text, and whether a stop string has been met (then nothing follows). */
export interface TextDelta {
  readonly text: string;
  readonly isStopped: boolean;
  /** The stop string that has been met. */
  readonly stop?: string | undefined;
}

/**
 * Converts the token ids of one sequence to text, in order, never splitting a character. The text is cut at the stop
 * strings.
 */
export interface TextStream {
  /** @param mayStop whether a stop string may end with this token's text */
  push(tokenId: number, mayStop: boolean): TextDelta;
  /** Returns the text that was held back. */
  flush(mayStop: boolean): TextDelta;
}

/** A conversation for the chat template. */
export interface ChatPrompt {
  readonly messages: readonly unknown[];
  readonly tools: readonly unknown[] | null;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Name of one of the model's chat templates; null: the one that fits. */
  readonly templateName?: string | null;
  /** Whether the prompt ends where the assistant begins to speak; undefined: the template's default. */
  readonly addsGenerationPrompt?: boolean | undefined;
  /** Whether the prompt ends with the last message, which the answer continues. */
  readonly continuesFinalMessage?: boolean;
}

/** Rules for cutting the text of a sequence. */
export interface TextStreamOptions {
  readonly stop: readonly string[];
  /** Whether the stop string is part of the text. */
  readonly includesStop: boolean;
  readonly skipsSpecial: boolean;
  /** Special tokens whose text is kept in any case. */
  readonly keptIds?: ReadonlySet<number>;
}

/** Converts text to ids and back. Long texts are encoded outside the event loop. */
export interface Text {
  /** Ids of a text, with the special tokens that the tokenizer adds unless `addsSpecial` is false. */
  encode(text: string, addsSpecial?: boolean): Promise<Int32Array>;
  /** Ids of the rendered chat template. @throws {AppError} invalid_request when there is no template, or it refuses. */
  encodeChat(prompt: ChatPrompt): Promise<Int32Array>;
  stream(options: TextStreamOptions): TextStream;
  /** The bytes of one token. */
  bytesOf(tokenId: number): Uint8Array;
  /** The token as the vocabulary spells it; undefined for an id without one. */
  tokenOf(tokenId: number): string | undefined;
  /** The text of ids. */
  decode(tokenIds: readonly number[], options: { readonly skipSpecialTokens: boolean }): Promise<string>;
  /** The tokenizer's configuration, with its class and the chat template. */
  readonly info: Readonly<Record<string, unknown>>;
  /** The formats in which the model writes calls and reasoning. */
  readonly formats: AnswerFormats;
}

/** A model's own sampling defaults. */
export interface SamplingDefaults {
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly minP?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
}

/** Facts of the served base. */
export interface ServedBase {
  readonly name: string;
  readonly signature: BaseSignature;
  /** Decides which stored adapters fit the base. */
  readonly fits: AdapterFits;
  /** Numbers in a hidden state. */
  readonly hiddenSize: number;
  readonly weights: string;
  readonly device: string;
  /** Token ids that end an answer. */
  readonly endIds: readonly number[];
  /**
   * Sampling defaults for requests that give none. They come from generation_config.json, otherwise they are OpenAI's.
   */
  readonly samplingDefaults: SamplingDefaults;
  /** Unix time in seconds at which the base was loaded. */
  readonly created: number;
}

/** Limits on the content of requests. */
export interface HttpLimits {
  readonly maxJsonBytes: number;
  readonly maxAdapterBytes: number;
  readonly maxTrainingFileBytes: number;
  /** Whether an unknown field is an error. */
  readonly refusesUnknownFields: boolean;
  /** --verify-uploads. */
  readonly verifiesUploads: "off" | "report" | "strict";
  /** --receipts. */
  readonly receipts: "all" | "asked";
}

/** Adapters at addresses that the operator allows. */
export interface AdapterAddresses {
  /**
   * The bytes of a `.mosara` file.
   * @throws {AppError} invalid_request, adapter_not_found, store_unavailable, and the faults of an adapter
   */
  read(address: string): Promise<Uint8Array>;
}

export interface AppContext {
  readonly version: string;
  readonly base: ServedBase;
  readonly engine: Engine;
  /** Whether requests can be answered now. The command `serve` knows which other parts must be ready. */
  readonly readiness: () => Readiness;
  readonly store: AdapterStore;
  /** The store of --store, of whose names `store` has copies; null: all names are here. */
  readonly sharedStore: SharedStore | null;
  readonly placements: Placements;
  readonly text: Text;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** --log-prompts. */
  readonly logsPrompts: boolean;
  readonly keys: KeyRing;
  readonly limiter: Limiter;
  readonly access: AccessPolicy;
  readonly limits: HttpLimits;
  readonly inFlight: InFlight;
  readonly names: GenerationNames;
  readonly residency: Residency;
  /** Responses that may be continued. */
  readonly responses: ResponseStore;
  /** Adapters of requests, by their hash. */
  readonly inlineAdapters: InlineAdapters;
  /** Signs what decided the bits of an answer. */
  readonly receipts: ReceiptIssuer;
  /** Takes out targets of aliases that break their rule. */
  readonly rollouts: Rollouts;
  /** Training jobs; null: the server runs none. */
  readonly training: Training | null;
  /** Adapters at addresses of --adapter-source; null: none is allowed. */
  readonly addresses: AdapterAddresses | null;
  /** The --adapters directory and its real path; null: none. */
  readonly adapters: { readonly root: string; readonly directory: AdapterDirectory } | null;
}

/** Variables of one request, set by the middleware. */
export interface AppEnv {
  Variables: {
    requestId: string;
    caller: Caller;
    /** The caller's tenant. */
    tenant: string;
    record: RequestRecord;
  };
}

export type RequestContext = Context<AppEnv>;
