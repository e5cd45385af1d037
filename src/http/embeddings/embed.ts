/** Answers POST /v1/embeddings: the pooled hidden states of each input, from the base or from an adapter. */
import { randomUUID } from "node:crypto";
import type { SequenceRequest } from "../../engine/engine.ts";
import { AppError } from "../../errors.ts";
import { checkFields } from "../../fields/check-fields.ts";
import { assertFitsContext, engineLimits, readPrompts } from "../completion/prompts.ts";
import type { Target } from "../completion/model/resolve-model.ts";
import { resolveTarget } from "../completion/model/resolve-target.ts";
import { deadlineOf } from "../completion/sampling.ts";
import { truncationOf } from "../completion/truncation.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { chargeTokens, enterLimits } from "../request/enter-limits.ts";
import { invalid } from "../error-response.ts";
import type { Lease } from "../../limits/lease.ts";
import { parseRequest } from "../request/parse-request.ts";
import { readJson } from "../request/read-body.ts";
import { type Pooled, poolPrompts } from "./pool-prompts.ts";
import { type EmbeddingRequest, MAX_INPUTS, embeddingRequest } from "./request-schema.ts";
import { encodedVector, shapedVector } from "./vector.ts";

type Pooling = NonNullable<SequenceRequest["pooling"]>;

/** @throws {AppError | ClientGone} */
export async function runEmbeddings(context: AppContext, c: RequestContext): Promise<Response> {
  const arrivedAt = performance.now();
  context.engine.assertAnyQueueHasRoom(c.get("tenant"));
  const lease = await enterLimits(context, c);
  try {
    return await runLeased(context, c, lease, arrivedAt);
  } finally {
    lease.end(c.get("record").numTokens());
  }
}

async function runLeased(context: AppContext, c: RequestContext, lease: Lease, arrivedAt: number): Promise<Response> {
  const body = await readJson(c, context.limits.maxJsonBytes);
  checkFields(body, "embeddings", { isStrict: context.limits.refusesUnknownFields });
  const fields = parseRequest(embeddingRequest, body);
  assertDimensions(context, fields);
  const deadlineMs = deadlineOf(c);
  const target = await resolveTarget(context, c, fields);
  const record = c.get("record");
  if (context.logsPrompts) record.prompt = fields.input;
  const leave = context.inFlight.enter();
  const { adapter, adapterName } = target;
  const forgetName = adapter && adapterName !== null ? context.names.hold(adapter.generation, adapterName) : () => {};
  try {
    const pooling = poolingOf(fields, target);
    const prompts = await readInputs(context, fields);
    const numTokens = prompts.reduce((sum, { length }) => sum + length, 0);
    await chargeTokens(c, lease, numTokens);
    const pooled = await poolPrompts(context, {
      target,
      tenant: c.get("tenant"),
      record,
      lease,
      prompts,
      deadlineMs,
      signal: c.req.raw.signal,
      arrivedAt,
      pooling,
      cacheSalt: fields.cache_salt ?? null,
    });
    record.cachedTokens = pooled.numCached;
    return c.json(answerOf(fields, target, prompts, pooled));
  } finally {
    target.release();
    forgetName();
    leave();
  }
}

function assertDimensions({ base }: AppContext, { dimensions = null }: EmbeddingRequest): void {
  if (dimensions === null || dimensions <= base.hiddenSize) return;
  throw invalid(`"dimensions" is ${dimensions}, but vectors of this model have ${base.hiddenSize}.`, "dimensions");
}

/**
 * The request's pooling, or that of the adapters' cards, or the mean.
 * @throws {AppError} invalid_request, unsupported_parameter.
 */
function poolingOf({ pooling }: EmbeddingRequest, { cards }: Target): Pooling {
  if (pooling) return pooling;
  const named = [...new Set(cards.flatMap((card) => card.pooling ?? []))];
  const [own = "mean"] = named;
  const shown = named.map((one) => JSON.stringify(one).slice(0, 40)).join(" and ");
  if (named.length > 1)
    throw invalid(`The cards of the blended adapters name different poolings: ${shown}. Send "pooling".`, "pooling");
  if (own === "mean" || own === "last") return own;
  throw new AppError(
    "unsupported_parameter",
    `The adapter's card names the pooling ${shown}, but this server has "mean" and "last". Send "pooling".`,
    { param: "pooling" },
  );
}

async function readInputs(context: AppContext, fields: EmbeddingRequest): Promise<readonly Int32Array[]> {
  const { maxModelLen } = engineLimits(context);
  const prompts = await readPrompts(context, fields.input, {
    n: 1,
    addsSpecial: fields.add_special_tokens ?? true,
    truncation: truncationOf(fields, 0, maxModelLen),
    field: "input",
    maxSequences: MAX_INPUTS,
  });
  for (const { ids } of prompts) assertFitsContext(ids.length, 0, maxModelLen, "input");
  return prompts.map(({ ids }) => ids);
}

function answerOf(
  fields: EmbeddingRequest,
  { model, fingerprint }: Target,
  prompts: readonly Int32Array[],
  { vectors, numCached }: Pooled,
): object {
  const form = { dimensions: fields.dimensions ?? null, normalizes: fields.normalize ?? true };
  const numTokens = prompts.reduce((sum, { length }) => sum + length, 0);
  return {
    id: `embd-${randomUUID()}`,
    object: "list",
    created: Math.floor(Date.now() / 1000),
    model,
    system_fingerprint: fingerprint,
    data: vectors.map((pooled, index) => ({
      object: "embedding",
      index,
      embedding: encodedVector(shapedVector(pooled, form), fields.encoding_format ?? "float"),
    })),
    usage: {
      prompt_tokens: numTokens,
      total_tokens: numTokens,
      prompt_tokens_details: { cached_tokens: numCached },
    },
  };
}
