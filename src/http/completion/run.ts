/**
 * Runs one completion of any kind from its body to its answer: room in the queue, body, adapter, deadline, prompts,
 * generation, answer. The answer is sent whole or streamed. Knows no shapes of requests or answers; a `CompletionKind`
 * has those.
 */
import { checkFields } from "../../fields/check-fields.ts";
import type { AppContext, RequestContext, TextStreamOptions } from "../context.ts";
import { chargeTokens, enterLimits } from "../request/enter-limits.ts";
import { invalid } from "../error-response.ts";
import type { Lease } from "../../limits/lease.ts";
import { parseBody, readBodyText } from "../request/read-body.ts";
import type { AnswerSplitter } from "./answer-format/answer-splitter.ts";
import { plainFormat } from "./answer-format/conversation-format.ts";
import { badWordIds } from "./bad-words.ts";
import type { CompletionKind } from "./completion-kind.ts";
import { grammarOf } from "./grammar.ts";
import { type Generation, startGeneration } from "./generation.ts";
import { withOwnNames } from "./own-names.ts";
import { assertFitsContext, engineLimits, type Prompt } from "./prompts.ts";
import type { SharedFields } from "./request-schema.ts";
import type { Target } from "./model/resolve-model.ts";
import { resolveTarget } from "./model/resolve-target.ts";
import { AnswerReceipt, RECEIPT_HEADER } from "./receipt/answer-receipt.ts";
import { deadlineOf, sequenceOptions, type SequenceOptions, stopStrings } from "./sampling.ts";
import { sendStream, sendWhole } from "./answer/send-answer.ts";

/** Answers a request. @throws {AppError | ClientGone} */
export async function runCompletion<F extends SharedFields>(
  context: AppContext,
  c: RequestContext,
  kind: CompletionKind<F>,
): Promise<Response> {
  const arrivedAt = performance.now();
  context.engine.assertAnyQueueHasRoom(c.get("tenant"));
  const lease = await enterLimits(context, c);
  try {
    return await runLeased(context, c, kind, { lease, arrivedAt });
  } catch (error) {
    lease.end(0); // nothing was computed, or the generation has ended the lease itself
    throw error;
  }
}

async function runLeased<F extends SharedFields>(
  context: AppContext,
  c: RequestContext,
  kind: CompletionKind<F>,
  { lease, arrivedAt }: { readonly lease: Lease; readonly arrivedAt: number },
): Promise<Response> {
  const request = await readRequest(context, c, kind);
  const { fields, target } = request;
  try {
    const prepared = await prepare(context, kind, request);
    await chargeTokens(c, lease, mostTokens(prepared));
    const generation = start(context, c, { ...request, ...prepared, lease, arrivedAt });
    const receipt = new AnswerReceipt(context, {
      ...prepared,
      requestId: c.get("requestId"),
      target,
      isAsked: fields.mosara_receipt === true,
      signsHeader: c.req.header(RECEIPT_HEADER)?.toLowerCase() === "signed",
    });
    const { prompts, newSplitter } = prepared;
    const numCached = (): number => generation.numCached();
    const answer = kind.newAnswer(context, { fields, target, prompts, numCached, newSplitter });
    if (fields.stream === true) return await sendStream(context, c, generation, { answer, receipt });
    return await sendWhole(c, generation, { answer, receipt });
  } catch (error) {
    target.release();
    throw withOwnNames(error, kind.ownNames ?? []);
  }
}

/** The most tokens that a request can use: its prompts, and every answer at its full length. */
function mostTokens({ prompts, numSequences, options }: PreparedCompletion): number {
  return prompts.reduce((sum, { ids }) => sum + ids.length + numSequences * options.maxTokens, 0);
}

/** A request that is ready to be submitted. It is not submitted. @throws {AppError} as a completion does. */
export async function withPreparedCompletion<F extends SharedFields, T>(
  context: AppContext,
  c: RequestContext,
  kind: CompletionKind<F>,
  use: (request: CompletionRequestRead<F> & PreparedCompletion) => T,
): Promise<T> {
  const request = await readRequest(context, c, kind);
  try {
    return use({ ...request, ...(await prepare(context, kind, request)) });
  } finally {
    request.target.release();
  }
}

/** A checked body and the model that it names, which the caller releases. */
export interface CompletionRequestRead<F> {
  readonly fields: F;
  readonly exact: unknown;
  readonly target: Target;
  readonly deadlineMs: number | null;
}

/** Everything that the engine needs of a request. */
export interface PreparedCompletion {
  readonly prompts: readonly Prompt[];
  readonly numSequences: number;
  readonly options: SequenceOptions;
  readonly text: TextStreamOptions;
  readonly newSplitter: () => AnswerSplitter;
}

async function readRequest<F extends SharedFields>(
  context: AppContext,
  c: RequestContext,
  kind: CompletionKind<F>,
): Promise<CompletionRequestRead<F>> {
  const text = await readBodyText(c, context.limits.maxJsonBytes);
  const body = parseBody(text, (json) => kind.parse(json));
  checkFields(body.plain, kind.endpoint, { isStrict: context.limits.refusesUnknownFields });
  const { fields, exact } = kind.readFields(body, context, c.get("tenant"));
  const deadlineMs = deadlineOf(c);
  const target = await resolveTarget(context, c, fields);
  const record = c.get("record");
  if (context.logsPrompts) record.prompt = (body.plain as Record<string, unknown>)[kind.promptField];
  return { fields, exact, target, deadlineMs };
}

async function prepare<F extends SharedFields>(
  context: AppContext,
  kind: CompletionKind<F>,
  { fields, exact, target }: CompletionRequestRead<F>,
): Promise<PreparedCompletion> {
  const asked = grammarOf(fields);
  const prompts = await kind.readPrompts(context, fields, exact);
  const { grammar, markIds, newSplitter } = kind.formatOf?.(context, fields, prompts, asked) ?? plainFormat(asked);
  const badWords = await badWordIds(context.text, fields.bad_words ?? []);
  const { maxModelLen, vocabSize } = engineLimits(context);
  const shape = kind.shapeOf(fields, prompts, maxModelLen);
  for (const { ids } of prompts) assertFitsContext(ids.length, shape.maxTokens, maxModelLen, kind.promptField);
  if (Object.keys(fields.stream_options ?? {}).length > 0 && fields.stream !== true)
    throw invalid('"stream_options" needs "stream": true.', "stream_options");
  if (fields.stream === true && typeof fields.prompt_logprobs === "number")
    throw invalid('"prompt_logprobs" are not available with "stream": true.', "prompt_logprobs");
  const base = { ...context.base, endIds: [...context.base.endIds, ...target.endIds] };
  return {
    prompts,
    numSequences: kind.numSequences?.(fields) ?? fields.n ?? 1,
    options: { ...sequenceOptions(fields, shape, badWords, base, vocabSize), grammar },
    text: {
      stop: stopStrings(fields.stop),
      includesStop: fields.include_stop_str_in_output === true || fields.no_stop_trim === true,
      skipsSpecial: fields.skip_special_tokens ?? true,
      keptIds: markIds,
    },
    newSplitter,
  };
}

function start(
  context: AppContext,
  c: RequestContext,
  request: PreparedCompletion &
    Omit<CompletionRequestRead<unknown>, "fields"> & {
      readonly lease: Lease;
      readonly arrivedAt: number;
    },
): Generation {
  const { prompts, numSequences, options, text, target, deadlineMs, lease, arrivedAt } = request;
  return startGeneration(context, {
    target,
    tenant: c.get("tenant"),
    record: c.get("record"),
    lease,
    prompts: prompts.map(({ ids }) => ids),
    n: numSequences,
    options,
    text,
    deadlineMs,
    signal: c.req.raw.signal,
    arrivedAt,
  });
}
