/** What follows a change of a stored adapter, whoever made it: its placement moves along, and the log has a line. */
import type { Logger } from "pino";
import type { Placements } from "../../placement/placements.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { PutResult } from "../../store/adapter-names.ts";
import type { Precondition } from "../../store/precondition.ts";
import { qualifiedName } from "../../store/tenant.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { type AdapterChange, logChange, requestFacts } from "./log-change.ts";
import { assertMayChange } from "./owner.ts";

/** @param facts who made the change */
export function notePut(
  { placements, log }: { readonly placements: Placements; readonly log: Logger },
  { record, outcome, replaced }: PutResult,
  facts: Pick<AdapterChange, "source" | "tenant" | "key" | "requestId">,
): void {
  const { tenant: owner, name, generation: to } = record;
  placements.follow(qualifiedName(record), to);
  logChange(log, { adapter: name, owner, change: outcome, from: replaced, to, ...facts });
}

/**
 * Deletes an adapter for a request.
 * @param preconditionOf reads the request's precondition on the adapter's generation; vLLM's route has none
 * @throws {AppError} insufficient_scope, precondition_failed.
 */
export async function deleteAdapter(
  context: AppContext,
  c: RequestContext,
  record: AdapterRecord,
  preconditionOf: (c: RequestContext, generation: string) => Precondition = () => ({}),
): Promise<void> {
  assertMayChange(c.get("caller"), record);
  const { name, tenant: owner, generation: from } = record;
  await context.store.namesOf(owner).delete(name, preconditionOf(c, from));
  context.placements.follow(qualifiedName(record), undefined);
  logChange(context.log, { adapter: name, owner, change: "deleted", from, ...requestFacts(c) });
}
