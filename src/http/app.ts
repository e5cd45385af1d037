/**
 * The HTTP application: middleware, the list of routes, and the answers for what is no route. Opens no port and starts nothing;
 * the composition root hands in what it works with.
 */
import { OpenAPIHono, z } from "@hono/zod-openapi";
import { AppError } from "../errors.ts";
import { goneResponse } from "./completion/send-answer.ts";
import type { AppContext, AppEnv } from "./context.ts";
import { admission } from "./middleware/admission.ts";
import { auth } from "./middleware/auth.ts";
import { requestId } from "./middleware/request-id.ts";
import type { Route } from "./route.ts";
import {
  adapterContentRoute,
  deleteAdapterRoute,
  getAdapterRoute,
  listAdaptersRoute,
  putAdapterRoute,
} from "./routes/adapters.ts";
import { chatCompletionsRoute } from "./routes/chat-completions.ts";
import { completionsRoute } from "./routes/completions.ts";
import { loadLoraRoute, unloadLoraRoute } from "./routes/lora-adapters.ts";
import { getModelRoute, listModelsRoute } from "./routes/models.ts";
import { healthzRoute, metricsRoute, readyzRoute, versionRoute } from "./routes/operations.ts";
import { pageRoutes } from "./routes/pages.ts";
import { placementRoute } from "./routes/placement.ts";

export type App = OpenAPIHono<AppEnv>;

/** The application over its context. */
export function createApp(context: AppContext): App {
  const app: App = new OpenAPIHono<AppEnv>();
  app.use(requestId());
  app.use(auth(context.keys));
  app.use(admission(context.inFlight));
  const routes = [...apiRoutes(), ...pageRoutes(), openApiRoute(app, context.version)];
  for (const route of routes) {
    app.openAPIRegistry.registerPath({ ...route.document, method: route.method, path: documentPath(route.path) });
    app.on(route.method.toUpperCase(), route.path, (c) => route.handle(context, c));
  }
  refuseOtherMethods(app, routes);
  app.notFound(() => {
    throw new AppError("not_found", "There is no such route. GET /docs lists them.");
  });
  app.onError((error, c) => goneResponse(context, c, error));
  return app;
}

function apiRoutes(): Route[] {
  return [
    completionsRoute,
    chatCompletionsRoute,
    listModelsRoute,
    getModelRoute,
    listAdaptersRoute,
    getAdapterRoute,
    adapterContentRoute,
    putAdapterRoute,
    deleteAdapterRoute,
    placementRoute,
    loadLoraRoute,
    unloadLoraRoute,
    healthzRoute,
    readyzRoute,
    metricsRoute,
    versionRoute,
  ];
}

/** The document is made at the first question: by then every route has registered. */
function openApiRoute(app: App, version: string): Route {
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
      document ??= app.getOpenAPI31Document({ openapi: "3.1.0", info: { title: "mosara", version } });
      return c.json(document);
    },
  };
}

/** A path that exists under another method answers 405 and says which. */
function refuseOtherMethods(app: App, routes: readonly Route[]): void {
  const methods = new Map<string, string[]>();
  for (const { path, method } of routes) methods.set(path, [...(methods.get(path) ?? []), method.toUpperCase()]);
  for (const [path, allowed] of methods) {
    const allow = [...allowed, ...(allowed.includes("GET") ? ["HEAD"] : [])].join(", ");
    app.all(path, (c) => {
      c.header("allow", allow);
      throw new AppError("method_not_allowed", `${c.req.method} is not possible here; ${allow} is.`);
    });
  }
}

/** Hono's `/v1/models/:id{.+}` as OpenAPI's `/v1/models/{id}`. */
function documentPath(path: string): string {
  return path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}");
}
