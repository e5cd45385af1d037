/** GET /v1/usage: what a tenant has used, by day and adapter. */
import { z } from "@hono/zod-openapi";
import { AppError } from "../../errors.ts";
import { partsOfQualifiedName } from "../../store/tenant.ts";
import { parseRequest } from "../request/parse-request.ts";
import { jsonResponses, type Route } from "../route.ts";

const day = z.iso.date("must be a day such as 2026-11-29");
const query = z.object({
  from: day.default("0000-01-01").openapi({ description: "First day (UTC). Default: the first that is known." }),
  to: day.default("9999-12-31").openapi({ description: "Last day (UTC). Default: today." }),
  tenant: z.string().max(64).optional().openapi({
    description: "With the scope admin: this tenant only. Default: all tenants for admin, otherwise the key's.",
  }),
});
const row = z.object({
  object: z.literal("usage"),
  tenant: z.string(),
  day: z.string(),
  adapter: z
    .string()
    .nullable()
    .openapi({ description: "null: the base. _inline and _blend: adapters without a name." }),
  owner: z.string().nullable().openapi({ description: "The tenant that owns the adapter, or shared." }),
  requests: z.int(),
  prompt_tokens: z.int(),
  generation_tokens: z.int(),
});
const list = z.object({ object: z.literal("list"), data: z.array(row) }).openapi("UsageList");

export const usageRoute: Route = {
  method: "get",
  path: "/v1/usage",
  scope: "metrics",
  document: {
    summary: "Requests and tokens of a tenant, by day and adapter",
    tags: ["Operations"],
    request: { query },
    responses: jsonResponses("One entry for each tenant, day and adapter.", list),
  },
  handle: async ({ store }, c) => {
    const { from, to, tenant: asked } = parseRequest(query, c.req.query());
    const { tenant: own, scopes } = c.get("caller");
    if (asked !== undefined && asked !== own && !scopes.has("admin"))
      throw new AppError("insufficient_scope", 'The usage of another tenant needs a key with the scope "admin".');
    const rows = await store.usage.list(asked ?? (scopes.has("admin") ? null : own), from, to);
    const data = rows.map(({ tenant, day: date, adapter, requests, promptTokens, generationTokens }) => ({
      object: "usage",
      tenant,
      day: date,
      ...nameOf(adapter),
      requests,
      prompt_tokens: promptTokens,
      generation_tokens: generationTokens,
    }));
    return c.json({ object: "list", data });
  },
};

function nameOf(adapter: string): { adapter: string | null; owner: string | null } {
  if (!adapter.includes("/")) return { adapter: adapter === "" ? null : adapter, owner: null };
  const { tenant, name } = partsOfQualifiedName(adapter);
  return { adapter: name, owner: tenant };
}
