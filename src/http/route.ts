/** The description of a route for app.ts: its path and method, its entry in the OpenAPI document, and the handler. */
import { type RouteConfig, z } from "@hono/zod-openapi";
import type { AppContext, RequestContext } from "./context.ts";

export type Method = "get" | "post" | "put" | "delete";

export interface Route {
  readonly method: Method;
  /** In Hono's spelling, e.g. `/v1/adapters/:name`. */
  readonly path: string;
  readonly document: Pick<RouteConfig, "summary" | "tags" | "request" | "responses">;
  readonly handle: (context: AppContext, c: RequestContext) => Response | Promise<Response>;
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
