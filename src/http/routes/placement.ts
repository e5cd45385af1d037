/** POST /v1/adapters/{name}/placement: serve an adapter live, or merged by an engine whose weights contain it. */
import { z } from "@hono/zod-openapi";
import { assertFits } from "../../adapter/adapter.ts";
import { assertMergeable } from "../../adapter/merge.ts";
import { qualifiedName } from "../../store/tenant.ts";
import { adapterJson, adapterSchema, nameParameter, ownerQuery } from "../adapters/adapter-json.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { readJson } from "../request/read-body.ts";
import { asAdapter } from "../adapters/adapter-fits.ts";
import { logChange, requestFacts } from "../adapters/log-change.ts";
import { assertMayChange } from "../adapters/owner.ts";
import { jsonResponses, type Route } from "../route.ts";
import { namedRecord } from "./adapters.ts";

const MAX_BODY_BYTES = 4096;
const request = z.strictObject({ placement: z.enum(["live", "merged"]) }).openapi("Placement");

export const placementRoute: Route = {
  method: "post",
  path: "/v1/adapters/:name/placement",
  scope: "write",
  document: {
    summary: "Serve an adapter live or merged",
    tags: ["Adapters"],
    request: {
      params: nameParameter,
      query: ownerQuery,
      body: { required: true, content: { "application/json": { schema: request } } },
    },
    responses: jsonResponses("The adapter. When merged, also the measured difference from live.", adapterSchema),
  },
  handle: async (context, c) => {
    const record = await namedRecord(context, c);
    if (c.req.param("name")?.includes("@") === true)
      throw invalid(
        'The placement belongs to a name, not to one generation. Name the adapter without the "@".',
        "name",
      );
    assertMayChange(c.get("caller"), record);
    const name = qualifiedName(record);
    const { placement } = parseRequest(request, await readJson(c, MAX_BODY_BYTES));
    const logPlacement = (change: "live" | "merged") =>
      logChange(context.log, {
        adapter: record.name,
        owner: record.tenant,
        change,
        from: record.generation,
        to: record.generation,
        ...requestFacts(c),
      });
    if (placement === "live") {
      await context.placements.unmerge(name);
      logPlacement("live");
      return c.json(adapterJson(context, record));
    }
    const adapter = asAdapter(record);
    assertFits(adapter, context.base.signature);
    assertMergeable(adapter); // checked before the maximum, because more memory would not help
    const report = await context.placements.merge(name, record.generation);
    logPlacement("merged");
    return c.json(adapterJson(context, record, report));
  },
};
