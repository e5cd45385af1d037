/** The description of a route for app.ts: its path and method, its entry in the OpenAPI document, and the handler. */
import { type RouteConfig, z } from "@hono/zod-openapi";
import { AppError } from "../errors.ts";
import type { Caller, Scope } from "../keys/caller.ts";
import type { AppContext, RequestContext } from "./context.ts";

export type Method = "get" | "post" | "put" | "delete";

/** The scope that a key must have. any: every key is enough. none: no key is needed. */
export type RouteScope = Scope | "any" | "none";

export interface Route {
  readonly method: Method;
  /** In Hono's spelling, e.g. `/v1/adapters/:name`. */
  readonly path: string;
  readonly scope: RouteScope;
  readonly document: Pick<RouteConfig, "summary" | "tags" | "request" | "responses">;
  readonly handle: (context: AppContext, c: RequestContext) => Response | Promise<Response>;
}

/** @throws {AppError} insufficient_scope. */
export function assertScope({ scope, method, path }: Route, { scopes }: Caller): void {
  if (scope === "any" || scope === "none" || scopes.has(scope)) return;
  throw new AppError(
    "insufficient_scope",
    `${method.toUpperCase()} ${path} needs a key with the scope "${scope}". This key has ${[...scopes].join(", ")}.`,
  );
}

const errorSchema = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string(),
    }),
  })
  .openapi("Error");

/** The error object for every answer that the document does not list. */
export const errorResponses = {
  default: { description: "An error.", content: { "application/json": { schema: errorSchema } } },
} as const;

/** A JSON answer in the document. All other statuses have the error object. */
export function jsonResponses(description: string, schema: z.ZodType, status = 200): RouteConfig["responses"] {
  return {
    [status]: { description, content: { "application/json": { schema } } },
    ...errorResponses,
  };
}
