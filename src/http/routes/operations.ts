/** The routes for operators: alive, ready, metrics, version. */
import { z } from "@hono/zod-openapi";
import { tenantView } from "../../metrics/tenant-view.ts";
import { readinessResponse } from "../readiness.ts";
import { errorResponses, jsonResponses, type Route } from "../route.ts";

const tags = ["Operations"];
const versionSchema = z
  .object({
    version: z.string(),
    baseId: z.string(),
    device: z.string(),
    attention: z.enum(["fused", "stepwise", "plain"]).nullable().openapi({
      description:
        "How attention is computed on this device: by a fused kernel, by the same kernel step by step, or by plain operators. null until the engine is ready for the first time.",
    }),
    precision: z.enum(["float32", "float16"]).nullable(),
    kvCacheDtype: z.enum(["float32", "float16", "int8"]).nullable().openapi({
      description: "Type of keys and values in memory. null until the engine is ready for the first time.",
    }),
    cacheResident: z
      .boolean()
      .nullable()
      .openapi({ description: "false: keys and values are copied to and from the device in every step." }),
    batchInvariant: z.boolean().nullable().openapi({
      description: "Whether results are bit-identical in any batch. null until the engine is ready for the first time.",
    }),
    weights: z.string(),
  })
  .openapi("Version");
const statusSchema = z
  .object({ status: z.string(), device: z.string().optional(), reason: z.string().optional() })
  .openapi("Status");

/** The same routes under the names that Kubernetes, vLLM and SageMaker use. */
export const healthRoutes: readonly Route[] = ["/healthz", "/livez", "/health", "/ping"].map((path) => ({
  method: "get",
  path,
  scope: "none",
  document: { summary: "200 while the process lives", tags, responses: jsonResponses("Alive.", statusSchema) },
  handle: (_, c) => c.json({ status: "ok" }),
}));

export const readyzRoute: Route = {
  method: "get",
  path: "/readyz",
  scope: "none",
  document: {
    summary: "200 when the server can answer, otherwise 503 with the reason",
    tags,
    responses: {
      ...jsonResponses("Ready.", statusSchema),
      503: { description: "Not ready.", content: { "application/json": { schema: statusSchema } } },
    },
  },
  handle: readinessResponse,
};

export const metricsRoute: Route = {
  method: "get",
  path: "/metrics",
  scope: "metrics",
  document: {
    summary: "Metrics in Prometheus' text format",
    tags,
    responses: {
      200: { description: "The metrics.", content: { "text/plain": { schema: z.string() } } },
      ...errorResponses,
    },
  },
  handle: async ({ metrics, keys }, c) => {
    const { tenant, scopes } = c.get("caller");
    const text = await metrics.render();
    const isWhole = !keys.hasTenants || scopes.has("admin");
    return c.body(isWhole ? text : tenantView(text, tenant), 200, { "content-type": metrics.contentType });
  },
};

export const versionRoute: Route = {
  method: "get",
  path: "/version",
  scope: "any",
  document: {
    summary: "Version, base, device and results of the self-test",
    tags,
    responses: jsonResponses("The version.", versionSchema),
  },
  handle: ({ version, base, engine }, c) =>
    c.json({
      version,
      baseId: base.signature.baseId,
      device: base.device,
      attention: engine.limits()?.device.attention ?? null,
      precision: engine.limits()?.device.precision ?? null,
      kvCacheDtype: engine.limits()?.capacity.kvCacheType ?? null,
      cacheResident: engine.limits()?.device.isCacheResident ?? null,
      batchInvariant: engine.limits()?.isBatchInvariant ?? null,
      weights: base.weights,
    }),
};
