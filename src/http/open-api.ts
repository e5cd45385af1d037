/** The OpenAPI document of a list of routes, and the route that serves it. Knows no route. */
import { OpenAPIHono, z } from "@hono/zod-openapi";
import { type CheckedEndpoint, effectOf } from "../fields/check-fields.ts";
import { ERRORS } from "./error-table.ts";
import { REQUEST_EXAMPLES } from "./request-examples.ts";
import type { Route } from "./route.ts";

/** The tables of fields behind the schemas of requests. */
const TABLES: Readonly<Record<string, CheckedEndpoint>> = {
  ChatCompletionRequest: "chat",
  CompletionRequest: "completions",
  CountTokensRequest: "messages",
  EmbeddingRequest: "embeddings",
  MessagesRequest: "messages",
  ResponsesRequest: "responses",
  TokenizeRequest: "chat",
};

/** The parts of a document that this file adds to. */
interface Parts {
  readonly paths: Record<string, Record<string, { requestBody?: { content: Record<string, { example?: object }> } }>>;
  readonly components: { schemas: Record<string, { properties?: Record<string, { description?: string }> }> };
}

/** OpenAPI 3.1 for these routes. `x-scope` is the scope that a key needs. The codes of errors are in `x-errors`. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const app = new OpenAPIHono();
  for (const { document, method, path, scope } of routes)
    app.openAPIRegistry.registerPath({ ...document, method, path: documentPath(path), "x-scope": scope });
  const made = app.getOpenAPI31Document({ openapi: "3.1.0", info: { title: "mosara", version } });
  const document = structuredClone(made) as unknown as Parts;
  addExamples(document);
  describeFields(document);
  const errors = Object.entries(ERRORS).filter(([code, { status }]) => status !== 500 || code === "internal_error");
  return { ...document, "x-errors": Object.fromEntries(errors) };
}

function addExamples({ paths }: Parts): void {
  for (const [path, methods] of Object.entries(paths))
    for (const [method, { requestBody }] of Object.entries(methods)) {
      const json = requestBody?.content["application/json"];
      const example = REQUEST_EXAMPLES[`${method} ${path}`];
      if (json && example) json.example = example;
    }
}

/** Fields without a description get the text of the tables of fields. */
function describeFields({ components }: Parts): void {
  for (const [name, endpoint] of Object.entries(TABLES))
    for (const [field, schema] of Object.entries(components.schemas[name]?.properties ?? {})) {
      const effect = effectOf(endpoint, field);
      if (effect !== undefined) schema.description ??= effect;
    }
}

/** @param routes asked at the first request, when the list is complete */
export function openApiRoute(routes: () => readonly Route[], version: string): Route {
  let document: object | undefined;
  return {
    method: "get",
    path: "/openapi.json",
    scope: "none",
    document: {
      summary: "This API as an OpenAPI document",
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
