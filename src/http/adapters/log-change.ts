/** Writes one line to the log for every change of an adapter, of any origin. */
import type { Logger } from "pino";
import type { RequestContext } from "../context.ts";

export interface AdapterChange {
  readonly adapter: string;
  /** The tenant that owns the name, or `shared`. */
  readonly owner: string;
  readonly change:
    | "created"
    | "replaced"
    | "unchanged"
    | "rolled_back"
    | "deleted"
    | "generation_deleted"
    | "merged"
    | "live";
  /** Generation before the change; absent for a new name. */
  readonly from?: string | undefined;
  /** Generation after the change; absent when the adapter was deleted. */
  readonly to?: string | undefined;
  readonly source: "directory" | "request" | "job";
  /** The tenant that made the change; absent for a change of the directory. */
  readonly tenant?: string | undefined;
  /** Id of its key in the keys file. */
  readonly key?: string | undefined;
  readonly requestId?: string | undefined;
}

/** Logs a change. A request that changed nothing is logged at level debug. */
export function logChange(log: Logger, change: AdapterChange): void {
  log[change.change === "unchanged" ? "debug" : "info"](change, "adapter");
}

/** Facts of the request that made a change. */
export function requestFacts(c: RequestContext): Pick<AdapterChange, "source" | "tenant" | "key" | "requestId"> {
  const { tenant, keyId } = c.get("caller");
  return { source: "request", tenant, key: keyId ?? undefined, requestId: c.get("requestId") };
}
