/**
 * Counts requests, and refuses new ones while the server stops. Health checks and metrics are answered until the end.
 */
import type { MiddlewareHandler } from "hono";
import { AppError } from "../../errors.ts";
import type { AppEnv } from "../context.ts";
import type { InFlight } from "../request/in-flight.ts";

const ALWAYS_ANSWERED: ReadonlySet<string> = new Set([
  "/healthz",
  "/health",
  "/livez",
  "/ping",
  "/readyz",
  "/metrics",
  "/version",
]);

/** @throws {AppError} overloaded, with Retry-After, while the server stops. */
export function admission(inFlight: InFlight): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    if (ALWAYS_ANSWERED.has(c.req.path)) return next();
    if (inFlight.isDraining)
      throw new AppError("overloaded", "The server is shutting down. Send the request to another server.", {
        retryAfterSeconds: 5,
      });
    const leave = inFlight.enter();
    try {
      await next();
    } finally {
      leave();
    }
  };
}
