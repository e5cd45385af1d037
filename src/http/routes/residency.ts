/** Which adapters are ready, for routers of any number of adapters. The metrics name only the busiest. */
import { createHash } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { maySee } from "../../keys/caller.ts";
import { partsOfQualifiedName, SHARED } from "../../store/tenant.ts";
import { matchesTag } from "../adapters/adapter-json.ts";
import { filterOf } from "../adapters/residency-filter.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { jsonResponses, type Route } from "../route.ts";

const residencySchema = z
  .object({
    object: z.literal("adapter.residency"),
    count: z.int().openapi({ description: "Number of adapters in the filter." }),
    filter: z.object({
      kind: z.literal("bloom"),
      bits: z.int(),
      hashes: z.int(),
      data: z.string().openapi({ description: "The bits, in base64." }),
    }),
  })
  .openapi("AdapterResidency");

export const residencyRoute: Route = {
  method: "get",
  path: "/v1/adapters/residency",
  scope: "metrics",
  document: {
    summary: "A compact filter of the adapters that are ready",
    tags: ["Adapters"],
    responses: {
      ...jsonResponses("A Bloom filter of names such as acme/support, and an ETag.", residencySchema),
      304: { description: "The filter has not changed since the one whose ETag If-None-Match names." },
    },
  },
  handle: (context, c) => {
    const names = residentNames(context, c);
    const { data, ...shape } = filterOf(names);
    const etag = `"${createHash("sha256").update(data).digest("hex").slice(0, 32)}"`;
    c.header("etag", etag);
    if (matchesTag(c.req.header("if-none-match"), etag)) return c.body(null, 304);
    const filter = { kind: "bloom", ...shape, data: Buffer.from(data).toString("base64") } as const;
    return c.json({ object: "adapter.residency", count: names.length, filter });
  },
};

/** Qualified names. A key of a tenant gets those that it sees. */
function residentNames({ residency, keys }: AppContext, c: RequestContext): readonly string[] {
  const caller = c.get("caller");
  const seesAll = !keys.hasTenants || caller.scopes.has("admin");
  const isSeen = (qualified: string): boolean => {
    const { tenant, name } = partsOfQualifiedName(qualified);
    return seesAll || ((tenant === caller.tenant || tenant === SHARED) && maySee(caller, name));
  };
  return residency.names().filter(isSeen);
}
