/** The OpenAPI document of a list of routes, and the route that serves it. Knows no route. */
import { OpenAPIHono, z } from "@hono/zod-openapi";
import type { Route } from "./route.ts";

/** OpenAPI 3.1 for these routes. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const app = new OpenAPIHono();
  for (const { document, method, path } of routes)
    app.openAPIRegistry.registerPath({ ...document, method, path: documentPath(path) });
  return app.getOpenAPI31Document({ openapi: "3.1.0", info: { title: "mosara", version } });
}

/** @param routes asked at the first request, when the list is complete */
export function openApiRoute(routes: () => readonly Route[], version: string): Route {
  let document: object | undefined;
  return {
    method: "get",
    path: "/openapi.json",
    document: {
      summary: "This document",
      tags: ["Operations"],
      responses: {
        200: { description: "OpenAPI 3.1.", content: { "application/json": { schema: z.looseObject({}) } } },
      },
    },
    handle: (_, c) => {
      document ??= openApiDocument(routes(), version);
      return c.json(document);
    },
  };
}

/** Hono's `/v1/models/:id{.+}` as OpenAPI's `/v1/models/{id}`. */
function documentPath(path: string): string {
  return path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}");
}
