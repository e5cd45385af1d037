/**
 * Answers OPTIONS, which load balancers send as a probe and browsers as a preflight. It needs no key, since the answer
 * only lists the methods of a path. `OPTIONS /` follows readiness, so a plain HTTP check takes a server out of use
 * while it starts or stops.
 */
import type { MiddlewareHandler } from "hono";
import type { AppContext, AppEnv } from "../context.ts";
import { readinessResponse } from "../readiness.ts";
import type { RouteTable } from "../route-table.ts";

/** Answers OPTIONS of every path in the table. Other paths pass to the next handler. */
export function options(context: AppContext, table: RouteTable): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const methods = c.req.method === "OPTIONS" ? table.methodsOf(c.req.path) : [];
    if (methods.length === 0) return next();
    if (c.req.path === "/") {
      const response = readinessResponse(context, c);
      if (!response.ok) return response;
    }
    return c.body(null, 204, { allow: [...methods, "OPTIONS"].join(", ") });
  };
}
