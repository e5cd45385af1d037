/** One line of the log for every change of an adapter, whoever made it. */
import type { Logger } from "pino";
import type { RequestContext } from "../context.ts";

export interface AdapterChange {
  readonly adapter: string;
  readonly change: "created" | "replaced" | "unchanged" | "deleted" | "merged" | "live";
  /** Absent once it is deleted. */
  readonly generation?: string | undefined;
  readonly source: "directory" | "request";
  readonly tenant?: string | undefined;
  readonly requestId?: string | undefined;
}

/** What changed nothing is only of interest to those who look for it. */
export function logChange(log: Logger, change: AdapterChange): void {
  log[change.change === "unchanged" ? "debug" : "info"](change, "adapter");
}

/** Which request made a change. */
export function requestFacts(c: RequestContext): Pick<AdapterChange, "source" | "tenant" | "requestId"> {
  return { source: "request", tenant: c.get("tenant"), requestId: c.get("requestId") };
}
