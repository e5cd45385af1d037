/** The JSON of an adapter in the routes' answers, and the entity tags that name its generation. */
import { z } from "@hono/zod-openapi";
import type { MergeReport } from "../../adapter/merge-report.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { Precondition } from "../../store/precondition.ts";
import { qualifiedName } from "../../store/tenant.ts";
import { VERIFY_MODES, verificationSchema } from "./verification.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { isCompatible } from "./find-adapter.ts";

/** Maximum number of entries that a list route returns, and its default. */
const MAX_LIST = 10_000;

export const adapterSchema = z
  .object({
    id: z.string(),
    object: z.literal("adapter"),
    tenant: z.string().openapi({ description: "The tenant that owns the adapter, or shared." }),
    generation: z.string().openapi({ description: "SHA-256 of the file, hex." }),
    method: z.enum(["mo-sara", "sara", "lora"]),
    heads: z.int(),
    num_params: z.int(),
    bytes: z.int(),
    base: z.string(),
    compatible: z.boolean(),
    targets: z.array(
      z.object({ name: z.string(), k: z.int(), dIn: z.int(), dOut: z.int(), basisId: z.string().optional() }),
    ),
    placement: z.enum(["live", "merged"]),
    created: z.int(),
    card: z.record(z.string(), z.unknown()),
    verification: verificationSchema.optional(),
    merge: z.object({ maxAbsLogitDifference: z.number(), kl: z.number(), seconds: z.number() }).optional(),
  })
  .openapi("Adapter");

/** `?limit&after` of the list routes. */
export const listQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,6}$/, "must be a whole number")
    .transform(Number)
    .refine((n) => n >= 1 && n <= MAX_LIST, `must be 1 to ${MAX_LIST}`)
    .default(MAX_LIST)
    .openapi({ type: "integer", minimum: 1, maximum: MAX_LIST, default: MAX_LIST }),
  after: z.string().max(512).optional().openapi({ description: "Continue after this id." }),
});

export const nameParameter = z.object({ name: z.string().openapi({ param: { name: "name", in: "path" } }) });

/** `?tenant` of the routes of one adapter or alias. */
export const ownerQuery = z.object({
  tenant: z.string().optional().openapi({
    description: "The owner of the name: the key's tenant, or shared. Default: the tenant's, then shared.",
  }),
});

/** The query of a PUT. */
export const putQuery = ownerQuery.extend({
  verify: z.enum(VERIFY_MODES).optional().openapi({
    description: "off, report or strict: whether golden answers are run. Default: --verify-uploads.",
  }),
});

/** The adapter object. */
export function adapterJson(
  context: AppContext,
  record: AdapterRecord,
  merge?: MergeReport,
): z.output<typeof adapterSchema> {
  return {
    id: record.name,
    object: "adapter",
    tenant: record.tenant,
    generation: record.generation,
    method: record.method,
    heads: record.heads,
    num_params: record.numParams,
    bytes: record.bytes,
    base: record.baseId,
    compatible: isCompatible(context, record),
    targets: [...record.targets],
    placement: context.placements.of(qualifiedName(record), record.generation),
    created: record.created,
    card: record.card,
    ...(merge ? { merge } : {}),
  };
}

/** `ETag` of a generation. */
export function etagOf(generation: string): string {
  return `"${generation}"`;
}

/** Whether `If-None-Match` names the generation the caller would get (weak comparison, RFC 9110 §13.1.2). */
export function isNotModified(c: RequestContext, generation: string): boolean {
  return matchesTag(c.req.header("if-none-match"), etagOf(generation));
}

/** Whether an `If-None-Match` names this entity tag. */
export function matchesTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.trim() === "*" || tagsIn(header).some((tag) => tag.replace(/^W\//, "") === etag);
}

/** The preconditions of a change. `current` is the name's generation now. It decides between several tags. */
export function preconditionOf(c: RequestContext, current: string | undefined): Precondition {
  const match = c.req.header("if-match")?.trim();
  const noneMatch = c.req.header("if-none-match")?.trim();
  const result: { ifMatch?: string; ifNoneMatch?: "*" } = {};
  if (match !== undefined) {
    const tags = tagsIn(match).filter((tag) => !tag.startsWith("W/")); // strong comparison
    const generations = tags.map((tag) => tag.slice(1, -1));
    result.ifMatch =
      match === "*" ? "*" : (generations.find((one) => one === current) ?? generations[0] ?? "no entity tag");
  }
  if (noneMatch === "*") result.ifNoneMatch = "*";
  // One of the tags is the current one, so the change must be refused. The result is a condition that never holds.
  else if (noneMatch !== undefined && current !== undefined && isNotModified(c, current))
    result.ifMatch = `anything but ${current}`;
  return result;
}

function tagsIn(header: string): string[] {
  return header.match(/(?:W\/)?"[^"]*"/g) ?? [];
}
