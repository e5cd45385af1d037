/** POST /v1/completions. */
import { z } from "@hono/zod-openapi";
import { randomUUID } from "node:crypto";
import { answerStream, answerWhole } from "../completion/send-answer.ts";
import { CompletionChoice } from "../completion/text-choice.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { assertRoom, startGeneration } from "../completion/generation.ts";
import { type CompletionRequest, completionRequest } from "../completion/request-schema.ts";
import { parseRequest } from "../parse-request.ts";
import { assertFitsContext, engineLimits, type Prompt, readPrompts } from "../completion/prompts.ts";
import { readJson } from "../read-body.ts";
import { resolveModel, type Target } from "../completion/resolve-model.ts";
import { jsonResponses, type Route } from "../route.ts";
import { deadlineOf, sequenceOptions, stopStrings } from "../completion/sampling.ts";
import { refuseUnsupported } from "../completion/unsupported-fields.ts";
import { usageOf } from "../completion/usage.ts";

const DEFAULT_MAX_TOKENS = 16;

const response = z
  .looseObject({
    id: z.string(),
    object: z.literal("text_completion"),
    choices: z.array(z.looseObject({ index: z.int(), text: z.string() })),
  })
  .openapi("Completion");

export const completionsRoute: Route = {
  method: "post",
  path: "/v1/completions",
  document: {
    summary: "Continue a prompt, or score it",
    tags: ["OpenAI"],
    request: { body: { required: true, content: { "application/json": { schema: completionRequest } } } },
    responses: jsonResponses("The answer, or with stream: true its chunks as server-sent events.", response),
  },
  handle: async (context, c) => {
    const arrivedAt = performance.now();
    const tenant = c.get("tenant");
    assertRoom(context, { tenant, promptTokens: [0], n: 1 });
    const body = await readJson(c, context.limits.maxJsonBytes);
    refuseUnsupported(body, "completions");
    const fields = parseRequest(completionRequest, body);
    const deadlineMs = deadlineOf(c);
    const target = resolveModel(context, fields.model, fields.adapter);
    try {
      const n = fields.n ?? 1;
      const prompts = await readPrompts(context, fields.prompt, n, (promptTokens) =>
        assertRoom(context, { tenant, promptTokens, n, target }),
      );
      return await answer(context, c, { fields, target, prompts, deadlineMs, arrivedAt });
    } catch (error) {
      target.release();
      throw error;
    }
  },
};

interface Job {
  readonly fields: CompletionRequest;
  readonly target: Target;
  readonly prompts: readonly Prompt[];
  readonly deadlineMs: number | null;
  readonly arrivedAt: number;
}

async function answer(context: AppContext, c: RequestContext, job: Job): Promise<Response> {
  const { fields, target, prompts, deadlineMs, arrivedAt } = job;
  const { maxModelLen, vocabSize } = engineLimits(context);
  const n = fields.n ?? 1;
  const maxTokens = fields.max_tokens ?? DEFAULT_MAX_TOKENS;
  for (const { ids } of prompts) assertFitsContext(ids.length, maxTokens, maxModelLen, "prompt");
  const numLogprobs = fields.logprobs ?? null;
  const numPromptLogprobs = fields.echo === true ? numLogprobs : null;
  if (fields.stream_options && fields.stream !== true)
    throw invalid('"stream_options" needs "stream": true.', "stream_options");
  const generation = startGeneration(context, {
    target,
    tenant: c.get("tenant"),
    prompts: prompts.map(({ ids }) => ids),
    n,
    options: sequenceOptions(fields, { maxTokens, numLogprobs, numPromptLogprobs }, context.base, vocabSize),
    stop: stopStrings(fields.stop),
    skipsSpecial: fields.skip_special_tokens ?? true,
    deadlineMs,
    signal: c.req.raw.signal,
    arrivedAt,
  });
  const choices = prompts.flatMap((prompt) => Array.from({ length: n }, () => newChoice(context, fields, prompt)));
  const choiceAt = (index: number) => choices[index] as CompletionChoice; // one for each sequence
  const head = {
    id: `cmpl-${randomUUID()}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model: target.model,
    system_fingerprint: target.fingerprint,
  };
  const usage = () => {
    const promptTokens = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
    const completionTokens = choices.reduce((sum, { numTokens }) => sum + numTokens, 0);
    return usageOf(promptTokens, generation.numCached(), completionTokens);
  };
  if (fields.stream !== true)
    return await answerWhole(
      c,
      generation,
      (index, event) => void choiceAt(index).add(event),
      () => ({ ...head, choices: choices.map((choice, index) => ({ index, ...choice.whole() })), usage: usage() }),
    );
  const hasUsage = fields.stream_options?.include_usage === true;
  const noUsage = hasUsage ? { usage: null } : {};
  return await answerStream(
    context,
    c,
    generation,
    (index, event) => {
      const part = choiceAt(index).add(event);
      return part === null ? [] : [{ ...head, choices: [{ index, ...part }], ...noUsage }];
    },
    () => (hasUsage ? [{ ...head, choices: [], usage: usage() }] : []),
  );
}

function newChoice({ text }: AppContext, fields: CompletionRequest, prompt: Prompt): CompletionChoice {
  return new CompletionChoice({
    text,
    prompt,
    echoes: fields.echo === true,
    hasLogprobs: typeof fields.logprobs === "number",
    hasTokenIds: fields.return_token_ids === true,
    skipsSpecial: fields.skip_special_tokens ?? true,
  });
}
