/**
 * The differences between kinds of completion: how a body is read, and the JSON of the answer. `run.ts` has the common
 * part. Types only.
 */
import type { ChatLikeEndpoint, Endpoint } from "../../fields/field.ts";
import type { GrammarSpec } from "../../grammar/grammar-spec.ts";
import type { AppContext } from "../context.ts";
import type { ErrorBody } from "../error-response.ts";
import type { AnswerSplitter } from "./answer-format/answer-splitter.ts";
import type { ConversationFormat } from "./answer-format/conversation-format.ts";
import type { ChoiceEvent } from "./generation.ts";
import type { OwnNames } from "./own-names.ts";
import type { Prompt } from "./prompts.ts";
import type { SharedFields } from "./request-schema.ts";
import type { Target } from "./model/resolve-model.ts";

/** A body, read once. */
export interface ParsedBody {
  /** The body as JSON.parse returns it. */
  readonly plain: unknown;
  /** The body for a template: numbers keep their written form (`tokenizer/chat/exact-json.ts`). */
  readonly exact: unknown;
}

/** How much to generate and to score. */
export interface AnswerShape {
  readonly maxTokens: number;
  readonly numLogprobs: number | null;
  readonly numPromptLogprobs: number | null;
}

/** A request whose prompts are known. */
export interface CompletionJob<F extends SharedFields> {
  readonly fields: F;
  readonly target: Target;
  readonly prompts: readonly Prompt[];
  /** Prompt tokens that came from the prefix cache; known once every sequence has a token. */
  readonly numCached: () => number;
  /** A splitter for the text of one sequence. */
  readonly newSplitter: () => AnswerSplitter;
}

/** An answer in progress. It receives every event of its sequences. */
export interface CompletionAnswer {
  /** Whether a stream's events have their `type` as their name; without it, a stream ends with `[DONE]`. */
  readonly hasNamedEvents: boolean;
  /** The chunks of a stream that has failed. */
  failure(error: ErrorBody): readonly object[];
  /** Notes an event. @returns the chunks that a stream sends for it */
  add(index: number, event: ChoiceEvent): readonly object[];
  /** The chunks after the last event. @param beside fields that the last chunk has in addition */
  trailer(beside: object): readonly object[];
  /** The body of an unstreamed answer, after the last event. */
  whole(): object;
}

/** The checked fields of a body, and the body that a template sees. */
export interface ReadBody<F extends SharedFields> {
  readonly fields: F;
  readonly exact: unknown;
}

export interface CompletionKind<F extends SharedFields> {
  readonly endpoint: Endpoint | ChatLikeEndpoint;
  /** The field that errors about the prompt's length mention. */
  readonly promptField: "prompt" | "messages" | "input";
  /** Names of the body for chat's fields, where they differ. Errors of the translated request mention them. */
  readonly ownNames?: OwnNames;
  /** @throws {SyntaxError} as JSON.parse does. */
  parse(text: string): ParsedBody;
  /**
   * Checks the body. A kind with another form of body translates it here. @throws {AppError} invalid_request,
   * unsupported_parameter.
   */
  readFields(body: ParsedBody, context: AppContext, tenant: string): ReadBody<F>;
  /**
   * @param exact the body with exact numbers @throws {AppError} invalid_request, context_length_exceeded,
   * unsupported_parameter.
   */
  readPrompts(context: AppContext, fields: F, exact: unknown): Promise<readonly Prompt[]>;
  /**
   * How the answer to a conversation is read and bound; absent: an answer is text. @throws {AppError} invalid_request,
   * unsupported_parameter.
   */
  formatOf?(
    context: AppContext,
    fields: F,
    prompts: readonly Prompt[],
    grammar: GrammarSpec | null,
  ): ConversationFormat;
  /** Number of sequences of each prompt, if it is not `n`. @throws {AppError} invalid_request. */
  numSequences?(fields: F): number;
  /** @throws {AppError} invalid_request. */
  shapeOf(fields: F, prompts: readonly Prompt[], maxModelLen: number): AnswerShape;
  newAnswer(context: AppContext, job: CompletionJob<F>): CompletionAnswer;
}
