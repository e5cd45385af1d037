/**
 * Runs one completion of any kind from its body to its answer: room in the queue, body, adapter, deadline, prompts, generation, answer. The
 * answer is sent whole or streamed. Knows no shapes of requests or answers; a `CompletionKind` has those.
 */
import { checkFields } from "../../fields/check-fields.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../parse-request.ts";
import { parseBody, readText } from "../read-body.ts";
import { badWordIds } from "./bad-words.ts";
import type { CompletionKind } from "./completion-kind.ts";
import { type Generation, startGeneration } from "./generation.ts";
import { assertFitsContext, engineLimits, type Prompt } from "./prompts.ts";
import type { SharedFields } from "./request-schema.ts";
import { resolveModel, type Target } from "./resolve-model.ts";
import { deadlineOf, sequenceOptions, stopStrings } from "./sampling.ts";
import { sendStream, sendWhole } from "./answer/send-answer.ts";

/** Answers a request. @throws {AppError | ClientGone} */
export async function runCompletion<F extends SharedFields>(
  context: AppContext,
  c: RequestContext,
  kind: CompletionKind<F>,
): Promise<Response> {
  const arrivedAt = performance.now();
  context.engine.assertAnyQueueHasRoom(c.get("tenant"));
  const text = await readText(c, context.limits.maxJsonBytes);
  const body = parseBody(text, (json) => kind.parse(json));
  checkFields(body.plain, kind.endpoint, { isStrict: context.limits.refusesUnknownFields });
  const fields = parseRequest(kind.schema, body.plain);
  const deadlineMs = deadlineOf(c);
  const target = resolveModel(context, fields);
  const record = c.get("record");
  record.adapter = target.adapterName;
  record.generation = target.adapter?.generation ?? null;
  record.blend = target.blend ?? null;
  if (context.logsPrompts) record.prompt = (fields as Record<string, unknown>)[kind.promptField];
  try {
    const prompts = await kind.readPrompts(context, fields, body.exact);
    const badWords = await badWordIds(context.text, fields.bad_words ?? []);
    const generation = start(context, c, kind, { fields, target, prompts, badWords, deadlineMs, arrivedAt });
    const answer = kind.newAnswer(context, { fields, target, prompts, numCached: () => generation.numCached() });
    if (fields.stream === true) return await sendStream(context, c, generation, answer);
    return await sendWhole(c, generation, answer);
  } catch (error) {
    target.release();
    throw error;
  }
}

interface Start<F> {
  readonly fields: F;
  readonly target: Target;
  readonly prompts: readonly Prompt[];
  readonly badWords: readonly (readonly number[])[];
  readonly deadlineMs: number | null;
  readonly arrivedAt: number;
}

function start<F extends SharedFields>(
  context: AppContext,
  c: RequestContext,
  kind: CompletionKind<F>,
  { fields, target, prompts, badWords, deadlineMs, arrivedAt }: Start<F>,
): Generation {
  const { maxModelLen, vocabSize } = engineLimits(context);
  const shape = kind.shapeOf(fields, prompts, maxModelLen);
  for (const { ids } of prompts) assertFitsContext(ids.length, shape.maxTokens, maxModelLen, kind.promptField);
  if (fields.stream_options && fields.stream !== true)
    throw invalid('"stream_options" needs "stream": true.', "stream_options");
  if (fields.stream === true && typeof fields.prompt_logprobs === "number")
    throw invalid('"prompt_logprobs" are not available with "stream": true.', "prompt_logprobs");
  return startGeneration(context, {
    target,
    tenant: c.get("tenant"),
    record: c.get("record"),
    prompts: prompts.map(({ ids }) => ids),
    n: fields.n ?? 1,
    options: sequenceOptions(
      fields,
      shape,
      badWords,
      { ...context.base, endIds: [...context.base.endIds, ...target.endIds] },
      vocabSize,
    ),
    text: {
      stop: stopStrings(fields.stop),
      includesStop: fields.include_stop_str_in_output === true || fields.no_stop_trim === true,
      skipsSpecial: fields.skip_special_tokens ?? true,
    },
    deadlineMs,
    signal: c.req.raw.signal,
    arrivedAt,
  });
}
