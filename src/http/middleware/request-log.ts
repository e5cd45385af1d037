/**
 * Writes one line to the log for every request, when it has ended. Probes and scrapes come every few seconds, so they
 * are logged at level debug.
 */
import type { MiddlewareHandler } from "hono";
import type { AppContext, AppEnv } from "../context.ts";
import { RequestRecord } from "../request/request-record.ts";

/** Paths that are asked every few seconds. */
export const PROBES: ReadonlySet<string> = new Set(["/healthz", "/livez", "/health", "/ping", "/readyz", "/metrics"]);

/** Sets the variable `record`. The path is logged without its query, which might contain private data. */
export function requestLog({ log }: Pick<AppContext, "log">): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const record = new RequestRecord();
    c.set("record", record);
    await next();
    const { method, path } = c.req;
    const { status } = c.res;
    const level = PROBES.has(path) || method === "OPTIONS" ? "debug" : "info";
    record.whenDone(() =>
      log[level](
        { status, tenant: c.get("tenant"), ...record.toFields(), requestId: c.get("requestId"), method, path },
        "request",
      ),
    );
  };
}
