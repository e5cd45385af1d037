/** Whether the server can answer now, as a response: 200, or 503 with the reason. */
import type { AppContext, RequestContext } from "./context.ts";

export function readinessResponse(context: AppContext, c: RequestContext): Response {
  const readiness = context.inFlight.isDraining
    ? { isReady: false as const, reason: "the server is shutting down" }
    : context.readiness();
  if (readiness.isReady) return c.json({ status: "ready", device: context.base.device });
  c.header("retry-after", "1");
  return c.json({ status: "unavailable", device: context.base.device, reason: readiness.reason }, 503);
}
