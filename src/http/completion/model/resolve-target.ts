/**
 * Finds the model of a request, and says which adapter it is: in a header of the answer, and in the request's log line.
 */
import type { AppContext, RequestContext } from "../../context.ts";
import { type ModelFields, refreshModel, resolveModel, type Target } from "./resolve-model.ts";

/** The generation of a stored adapter that answers, as `name@generation`. */
const ADAPTER_HEADER = "x-mosara-adapter";

/** @throws {AppError} as `resolveModel` */
export async function resolveTarget(
  context: AppContext,
  c: RequestContext,
  fields: ModelFields & { readonly user?: string | null | undefined },
): Promise<Target> {
  const record = c.get("record");
  const lookedUpAt = Date.now();
  await refreshModel(context, c.get("caller"), fields);
  if (context.sharedStore) record.lookup = { from: lookedUpAt, to: Date.now() };
  // Without a user, the id of the request decides between the targets of an alias. The log has it.
  const aliasKey = fields.user ? `user:${fields.user}` : `request:${c.get("requestId")}`;
  const target = resolveModel(context, { caller: c.get("caller"), aliasKey }, fields);
  if (target.reference !== undefined) c.header(ADAPTER_HEADER, target.reference);
  record.adapter = target.adapterName;
  record.generation = target.adapter?.generation ?? null;
  record.alias = target.chosen?.alias.name ?? null;
  record.blend = target.blend ?? null;
  return target;
}
