/** Gives every response an `x-request-id`: the caller's own if it is valid, otherwise a new id. */
import { randomUUID } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { AppEnv } from "../context.ts";

const SANE = /^[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,127}$/;

/** Sets the variable `requestId` and the response header. */
export function requestId(): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const given = c.req.header("x-request-id");
    const id = given !== undefined && SANE.test(given) ? given : randomUUID();
    c.set("requestId", id);
    await next();
    c.res.headers.set("x-request-id", id);
  };
}
