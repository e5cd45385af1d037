/**
 * What the routes work with: the engine, the store, text and facts of the base, handed in by the composition root.
 * The ports say the little that HTTP needs of a neighbour, so that a test can hand in a small real one.
 */
import type { Context } from "hono";
import type { Logger } from "pino";
import type { BaseSignature } from "../adapter/adapter.ts";
import type { Engine, Readiness } from "../engine/engine.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { AdapterDirectory } from "../store/adapter-directory.ts";
import type { AdapterStore } from "../store/adapter-store.ts";
import type { AdapterFits } from "./adapters/adapter-fits.ts";
import type { AccessPolicy } from "./access-policy.ts";
import type { GenerationNames } from "./generation-names.ts";
import type { InFlight } from "./in-flight.ts";
import type { Placements } from "../placement/placements.ts";
import type { RequestRecord } from "./request-record.ts";

/** A part of text that goes out, and whether a stop string has been met (then nothing follows). */
export interface TextDelta {
  readonly text: string;
  readonly isStopped: boolean;
}

/** Token ids of one sequence to text, in order, without ever splitting a character; cut at the stop strings. */
export interface TextStream {
  /** @param mayStop whether a stop string may end with this token's text */
  push(tokenId: number, mayStop: boolean): TextDelta;
  /** What was held back. */
  flush(mayStop: boolean): TextDelta;
}

/** A conversation for the chat template. */
export interface ChatPrompt {
  readonly messages: readonly unknown[];
  readonly tools: readonly unknown[] | null;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Whether the prompt ends where the assistant begins to speak; undefined: the template's default. */
  readonly addsGenerationPrompt?: boolean | undefined;
  /** Whether the prompt ends with the last message, which the answer continues. */
  readonly continuesFinalMessage?: boolean;
}

/** How the text of a sequence is cut. */
export interface TextStreamOptions {
  readonly stop: readonly string[];
  /** Whether the stop string is part of the text. */
  readonly includesStop: boolean;
  readonly skipsSpecial: boolean;
}

/** Text to ids and back. Long texts are encoded beside the event loop. */
export interface Text {
  /** Ids of a text, with the special tokens that the tokenizer adds unless `addsSpecial` is false. */
  encode(text: string, addsSpecial?: boolean): Promise<Int32Array>;
  /** Ids of the rendered chat template. @throws {AppError} invalid_request when there is none, or it refuses. */
  encodeChat(prompt: ChatPrompt): Promise<Int32Array>;
  stream(options: TextStreamOptions): TextStream;
  /** The bytes that one token alone stands for. */
  bytesOf(tokenId: number): Uint8Array;
}

/** A model's own sampling defaults. */
export interface SamplingDefaults {
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly minP?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
}

/** Facts of the base that is served. */
export interface ServedBase {
  readonly name: string;
  readonly signature: BaseSignature;
  /** Which stored adapters fit it. */
  readonly fits: AdapterFits;
  readonly weights: string;
  readonly device: string;
  /** Token ids that end an answer. */
  readonly endIds: readonly number[];
  /** Sampling where a request is silent, from generation_config.json; OpenAI's defaults where that is silent too. */
  readonly samplingDefaults: SamplingDefaults;
  /** Unix time in seconds at which it was loaded. */
  readonly created: number;
}

/** Bounds on what a caller may send. */
export interface HttpLimits {
  readonly maxJsonBytes: number;
  readonly maxAdapterBytes: number;
  /** Whether a field that no table has is an error. */
  readonly refusesUnknownFields: boolean;
}

/** A key as it is kept: never the key itself. */
export interface HashedKey {
  readonly tenant: string;
  readonly sha256: Buffer;
}

export interface AppContext {
  readonly version: string;
  readonly base: ServedBase;
  readonly engine: Engine;
  /** Whether requests can be answered now; the composition root knows what else must be up. */
  readonly readiness: () => Readiness;
  readonly store: AdapterStore;
  readonly placements: Placements;
  readonly text: Text;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** --log-prompts. */
  readonly logsPrompts: boolean;
  readonly keys: readonly HashedKey[];
  readonly access: AccessPolicy;
  readonly limits: HttpLimits;
  readonly inFlight: InFlight;
  readonly names: GenerationNames;
  /** The --adapters directory and its real path; null: none. */
  readonly adapters: { readonly root: string; readonly directory: AdapterDirectory } | null;
}

/** Variables of one request, set by the middleware. */
export interface AppEnv {
  Variables: { requestId: string; tenant: string; record: RequestRecord };
}

export type RequestContext = Context<AppEnv>;
