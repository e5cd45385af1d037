/** The JSON of aliases: what a PUT accepts and what all routes answer. */
import { z } from "@hono/zod-openapi";
import { AppError, quote } from "../../errors.ts";
import { type AliasRecord, type AliasTarget, type RollbackRule, targetText } from "../../store/aliases/alias-record.ts";
import { assertReference, parseReference } from "../../store/version-reference.ts";
import type { Caller } from "../../keys/caller.ts";
import { isCompatible, notFoundMessage } from "../adapters/find-adapter.ts";
import { refreshNamed } from "../adapters/shared-names.ts";
import type { AppContext } from "../context.ts";
import { invalid } from "../error-response.ts";

const MAX_TARGETS = 16;
/** A name, an "@" and a generation. */
const MAX_REFERENCE = 300;

const weights = z
  .record(z.string().min(1).max(MAX_REFERENCE), z.number().min(0).max(1e9))
  .refine(
    (map) => Object.keys(map).length >= 1 && Object.keys(map).length <= MAX_TARGETS,
    `expected 1 to ${MAX_TARGETS} targets`,
  )
  .refine((map) => Object.values(map).some((weight) => weight > 0), "needs a weight above 0")
  .openapi({
    description:
      "Weights by adapters: name, name@<beginning of a generation> or name@-1. The last two pin one generation.",
    example: { stable: 95, next: 5 },
  });

const rule = z.strictObject({
  max_error_share: z.number().gt(0).max(1).optional().openapi({
    description: "A target is taken out when its share of errors exceeds that of the other targets by more than this.",
  }),
  max_drift: z.number().gt(0).max(1000).optional().openapi({
    description:
      "A target is taken out when it lowers the mean log-probability of the main target's golden answers by more than this, in nats.",
  }),
  min_requests: z.int().min(1).max(1_000_000).default(50),
  window_seconds: z.int().min(1).max(86_400).default(300),
});

export const aliasRequest = z.strictObject({ targets: weights, rule: rule.nullish() }).openapi("AliasRequest");

const target = z.object({
  adapter: z.string(),
  generation: z
    .string()
    .nullable()
    .openapi({ description: "The generation that answers now. null: the adapter is gone." }),
  pinned: z
    .boolean()
    .openapi({ description: "Whether the target keeps this generation when the adapter is replaced." }),
  weight: z.number(),
});

export const aliasSchema = z
  .object({
    id: z.string(),
    object: z.literal("alias"),
    tenant: z.string(),
    targets: z.array(target),
    previous: z.array(target).nullable().openapi({ description: "The targets that a rollback restores." }),
    rule: rule.nullable(),
    taken_out: z
      .object({
        target: z.string(),
        generation: z.string(),
        reason: z.enum(["errors", "drift"]),
        measured: z.number().nullable(),
        at: z.int(),
      })
      .nullable()
      .openapi({ description: "The target that the server took out by the rule, until the targets change again." }),
    created: z.int(),
    updated: z.int(),
  })
  .openapi("Alias");

export function aliasJson(context: AppContext, alias: AliasRecord): z.output<typeof aliasSchema> {
  const { name, tenant, targets, previous, takenOut, created, updated } = alias;
  const shown = (one: AliasTarget) => ({
    adapter: one.name,
    generation: one.generation ?? context.store.namesOf(tenant).get(one.name)?.generation ?? null,
    pinned: one.generation !== null,
    weight: one.weight,
  });
  return {
    id: name,
    object: "alias",
    tenant,
    targets: targets.map(shown),
    previous: previous?.map(shown) ?? null,
    rule: alias.rule && ruleJson(alias.rule),
    taken_out: takenOut && { ...takenOut, measured: Number.isFinite(takenOut.measured) ? takenOut.measured : null },
    created,
    updated,
  };
}

function ruleJson({ maxErrorShare, maxDrift, minRequests, windowSeconds }: RollbackRule): z.output<typeof rule> {
  return {
    ...(maxErrorShare === undefined ? {} : { max_error_share: maxErrorShare }),
    ...(maxDrift === undefined ? {} : { max_drift: maxDrift }),
    min_requests: minRequests,
    window_seconds: windowSeconds,
  };
}

export function ruleOf(json: z.output<typeof rule>): RollbackRule {
  const { max_error_share: maxErrorShare, max_drift: maxDrift, min_requests: minRequests, window_seconds } = json;
  return {
    ...(maxErrorShare === undefined ? {} : { maxErrorShare }),
    ...(maxDrift === undefined ? {} : { maxDrift }),
    minRequests,
    windowSeconds: window_seconds,
  };
}

/**
 * The targets of a body. A reference to a generation is pinned to it.
 * @throws {AppError} invalid_request, adapter_not_found, ambiguous_generation, adapter_incompatible,
 * store_unavailable, store_damaged
 */
export async function aliasTargets(
  context: AppContext,
  caller: Caller,
  owner: string,
  body: Readonly<Record<string, number>>,
): Promise<AliasTarget[]> {
  const targets = await Promise.all(
    Object.entries(body).map(async ([text, weight]) => ({
      ...(await resolvedTarget(context, caller, owner, text)),
      weight,
    })),
  );
  const texts = targets.map(targetText);
  const twice = texts.find((text, i) => texts.indexOf(text) !== i);
  if (twice !== undefined) throw invalid(`"targets" names ${quote(twice)} twice. Name it once.`, "targets");
  return targets;
}

/** One target that a text means. @throws as `aliasTargets` */
export async function resolvedTarget(
  context: AppContext,
  caller: Caller,
  owner: string,
  text: string,
): Promise<Omit<AliasTarget, "weight">> {
  assertReference(text);
  const { name, version } = parseReference(text) ?? { name: text, version: { kind: "current" as const } };
  await refreshNamed(context, caller, text, owner);
  const record = context.store.namesOf(owner).find(name, version);
  if (!record && context.store.aliasesOf(owner).get(name))
    throw invalid(`${quote(name)} is an alias. An alias stands for adapters, not for aliases.`, "targets");
  if (!record)
    throw new AppError(
      "adapter_not_found",
      `${notFoundMessage(text)} An alias stands for adapters of its owner, "${owner}".`,
      {
        param: "targets",
      },
    );
  if (!isCompatible(context, record)) {
    const misfit = context.base.fits.misfitOf(record);
    throw new AppError("adapter_incompatible", misfit?.message ?? "", { param: "targets" });
  }
  return { name, generation: version.kind === "current" ? null : record.generation };
}
