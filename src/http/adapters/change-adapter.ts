/**
 * The consequences of a change of a stored adapter, for every caller: its placement follows, and the log has a line.
 */
import type { Logger } from "pino";
import type { Placements } from "../../placement/placements.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { PutResult } from "../../store/adapter-names.ts";
import type { Precondition } from "../../store/precondition.ts";
import { qualifiedName } from "../../store/tenant.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { type AdapterChange, logChange, requestFacts } from "./log-change.ts";
import { assertMayChange } from "./owner.ts";
import { writerOfRecord } from "./shared-names.ts";

/** @param facts who made the change @param how the word for a replacement in the log; null: "replaced" */
export function notePut(
  { placements, log }: { readonly placements: Placements; readonly log: Logger },
  { record, outcome, replaced }: PutResult,
  facts: Pick<AdapterChange, "source" | "tenant" | "key" | "requestId">,
  how: "rolled_back" | null = null,
): void {
  const { tenant: owner, name, generation: to } = record;
  placements.follow(qualifiedName(record), to);
  logChange(log, {
    adapter: name,
    owner,
    change: outcome === "replaced" ? (how ?? outcome) : outcome,
    from: replaced,
    to,
    ...facts,
  });
}

/**
 * Deletes an adapter for a request, or one of its earlier generations.
 * @param text the request's name for it: with an "@", it means one generation
 * @param preconditionOf reads the request's precondition on the adapter's generation; vLLM's route has none
 * @throws {AppError} insufficient_scope, precondition_failed, generation_in_use.
 */
export async function deleteAdapter(
  context: AppContext,
  c: RequestContext,
  { record, text }: { readonly record: AdapterRecord; readonly text: string },
  preconditionOf: (c: RequestContext, generation: string) => Precondition = () => ({}),
): Promise<void> {
  assertMayChange(c.get("caller"), record);
  const { name, tenant: owner, generation: from } = record;
  const names = writerOfRecord(context, record);
  const isVersion = text.includes("@");
  if (isVersion) await names.deleteVersion(name, { kind: "prefix", prefix: from }, preconditionOf(c, from));
  else {
    await names.delete(name, preconditionOf(c, from));
    context.placements.follow(qualifiedName(record), undefined);
  }
  const change = isVersion ? "generation_deleted" : "deleted";
  logChange(context.log, { adapter: name, owner, change, from, ...requestFacts(c) });
}
