/**
 * The HTTP application: middleware, the list of routes, and the answers for unknown paths. Opens no port and starts
 * nothing. The command `serve` passes in everything it needs.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { AppError } from "../errors.ts";
import { checkQuery } from "./request/check-query.ts";
import { goneResponse } from "./completion/answer/send-answer.ts";
import type { AppContext, AppEnv, RequestContext } from "./context.ts";
import { admission } from "./middleware/admission.ts";
import { auth } from "./middleware/auth.ts";
import { browserGuard } from "./middleware/browser-guard.ts";
import { options } from "./middleware/options.ts";
import { requestLog } from "./middleware/request-log.ts";
import { requestTrace } from "./middleware/request-trace.ts";
import { requestId } from "./middleware/request-id.ts";
import { openApiRoute } from "./open-api.ts";
import { RouteTable } from "./route-table.ts";
import { assertScope, type Route } from "./route.ts";
import {
  adapterContentRoute,
  deleteAdapterRoute,
  getAdapterRoute,
  listAdaptersRoute,
  putAdapterRoute,
} from "./routes/adapters.ts";
import { aliasRoutes } from "./routes/aliases.ts";
import { chatCompletionsRoute } from "./routes/chat-completions.ts";
import { completionsRoute } from "./routes/completions.ts";
import { embeddingsRoute } from "./routes/embeddings.ts";
import { fileRoutes } from "./routes/files.ts";
import { fineTuningRoutes } from "./routes/fine-tuning.ts";
import { dynamoLoraRoutes } from "./routes/loras/dynamo.ts";
import { sglangLoraRoutes } from "./routes/loras/sglang.ts";
import { vllmLoraRoutes } from "./routes/loras/vllm.ts";
import { messagesRoutes } from "./routes/messages.ts";
import { deleteModelRoute, getModelRoute, listModelsRoute } from "./routes/models.ts";
import { healthRoutes, metricsRoute, readyzRoute, versionRoute } from "./routes/operations.ts";
import { pageRoutes } from "./routes/pages.ts";
import { placementRoute } from "./routes/placement.ts";
import { receiptRoutes } from "./routes/receipts.ts";
import { renderRoutes } from "./routes/render.ts";
import { residencyRoute } from "./routes/residency.ts";
import { responsesRoutes } from "./routes/responses.ts";
import { tokenizeRoutes } from "./routes/tokenize.ts";
import { usageRoute } from "./routes/usage.ts";
import { versionRoutes } from "./routes/versions.ts";

/** Maximum length of a path in an error message. */
const MAX_SHOWN_PATH = 200;

export type App = OpenAPIHono<AppEnv>;

/** Makes the application from its context. */
export function createApp(context: AppContext): App {
  const app: App = new OpenAPIHono<AppEnv>();
  const routes = allRoutes(context.version);
  const table = new RouteTable(routes);
  app.use(requestLog(context));
  app.use(requestId());
  app.use(requestTrace(context));
  app.use(browserGuard(context.access));
  app.use(options(context, table));
  app.use(auth(context.keys, context.access, routes));
  app.use(admission(context.inFlight));
  for (const route of routes) {
    app.on(route.method.toUpperCase(), route.path, (c) => {
      assertScope(route, c.get("caller"));
      checkQuery(route, c, context.limits.refusesUnknownFields);
      return route.handle(context, c);
    });
  }
  app.notFound((c) => {
    throw noSuchRoute(table, c);
  });
  app.onError((error, c) => goneResponse(context, c, error));
  return app;
}

/** Every route of the server. @param version the program's version, for the OpenAPI document */
export function allRoutes(version: string): readonly Route[] {
  const routes: Route[] = [...apiRoutes(), ...pageRoutes];
  const document = openApiRoute(() => routes, version);
  routes.push(document);
  return routes;
}

function apiRoutes(): Route[] {
  return [
    completionsRoute,
    chatCompletionsRoute,
    ...responsesRoutes,
    ...messagesRoutes,
    embeddingsRoute,
    ...renderRoutes,
    ...tokenizeRoutes,
    listModelsRoute,
    getModelRoute,
    deleteModelRoute,
    listAdaptersRoute,
    residencyRoute, // before the routes of one adapter, whose path has a name there
    getAdapterRoute,
    adapterContentRoute,
    putAdapterRoute,
    deleteAdapterRoute,
    placementRoute,
    ...versionRoutes,
    ...aliasRoutes,
    ...fileRoutes,
    ...fineTuningRoutes,
    ...receiptRoutes,
    ...vllmLoraRoutes,
    ...sglangLoraRoutes,
    ...dynamoLoraRoutes,
    ...healthRoutes,
    readyzRoute,
    metricsRoute,
    versionRoute,
    usageRoute,
  ];
}

/** Answers 405 for a path that exists under another method, otherwise 404 with the closest route. */
function noSuchRoute(table: RouteTable, c: RequestContext): AppError {
  const { method } = c.req;
  const path = c.req.path.slice(0, MAX_SHOWN_PATH);
  const allow = table.methodsOf(c.req.path).join(", ");
  if (allow !== "") {
    c.header("allow", allow);
    return new AppError("method_not_allowed", `${path} does not allow ${method}. It allows ${allow}.`);
  }
  const meant = table.nearestTo(method, c.req.path);
  const hint = meant === undefined ? "" : ` Did you mean ${meant}?`;
  return new AppError("not_found", `There is no route ${method} ${path}.${hint} GET /docs lists all routes.`);
}
