/**
 * OPTIONS, by which load balancers probe and browsers ask ahead: answered without a key, since it says only which methods a
 * path has. `OPTIONS /` follows readiness, so that a plain HTTP check takes a server out of use while it starts or stops.
 */
import type { MiddlewareHandler } from "hono";
import type { AppContext, AppEnv } from "../context.ts";
import { readinessResponse } from "../readiness.ts";
import type { RouteTable } from "../route-table.ts";

/** Answers OPTIONS of every path in the table; other paths go on. */
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
