/**
 * The routes of an adapter's generations: list them, point the name to an earlier one, and run the golden answers of
 * one.
 */
import { z } from "@hono/zod-openapi";
import { quote } from "../../errors.ts";
import { assertAdapterName } from "../../store/adapter-record.ts";
import { parseVersion } from "../../store/version-reference.ts";
import {
  adapterJson,
  adapterSchema,
  etagOf,
  nameParameter,
  ownerQuery,
  preconditionOf,
} from "../adapters/adapter-json.ts";
import { notePut } from "../adapters/change-adapter.ts";
import { requestFacts } from "../adapters/log-change.ts";
import { assertMayChange, existingAdapter } from "../adapters/owner.ts";
import { writerOfRecord } from "../adapters/shared-names.ts";
import { verificationSchema } from "../adapters/verification.ts";
import { verifyStored } from "../adapters/verify-adapter.ts";
import { holdRecord } from "../completion/model/stored-adapter.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { readJson } from "../request/read-body.ts";
import { jsonResponses, type Route } from "../route.ts";
import { namedRecord } from "./adapters.ts";

const MAX_BODY_BYTES = 4096;
const tags = ["Adapters"];
const versionSchema = adapterSchema
  .extend({ current: z.boolean().openapi({ description: "Whether the name points to this generation." }) })
  .openapi("AdapterVersion");
const listSchema = z.object({ object: z.literal("list"), data: z.array(versionSchema) }).openapi("AdapterVersionList");
const verifiedSchema = z
  .object({
    id: z.string(),
    object: z.literal("adapter.verification"),
    generation: z.string(),
    verification: verificationSchema,
  })
  .openapi("AdapterVerification");
const rollbackRequest = z
  .strictObject({
    to: z.string().max(65).default("-1").openapi({
      description: 'The beginning of an earlier generation, or "-1" for the one before the current one.',
    }),
  })
  .openapi("Rollback");

const listVersionsRoute: Route = {
  method: "get",
  path: "/v1/adapters/:name/versions",
  scope: "use",
  document: {
    summary: "The generations of an adapter that are kept",
    tags,
    request: { params: nameParameter, query: ownerQuery },
    responses: jsonResponses("The generations, the current one first, then from the newest to the oldest.", listSchema),
  },
  handle: async (context, c) => {
    const { tenant, name, generation } = await namedBy(context, c, true);
    c.header("etag", etagOf(generation));
    const records = context.store.namesOf(tenant).versions(name);
    const data = records.map((record) => ({ ...adapterJson(context, record), current: record.isEarlier !== true }));
    return c.json({ object: "list", data });
  },
};

const rollbackRoute: Route = {
  method: "post",
  path: "/v1/adapters/:name/rollback",
  scope: "write",
  document: {
    summary: "Point an adapter's name to an earlier generation",
    tags,
    request: {
      params: nameParameter,
      query: ownerQuery,
      body: { required: true, content: { "application/json": { schema: rollbackRequest } } },
    },
    responses: jsonResponses("The adapter, which now has the earlier generation.", adapterSchema),
  },
  handle: async (context, c) => {
    const before = await namedBy(context, c);
    assertMayChange(c.get("caller"), before);
    const { to } = parseRequest(rollbackRequest, await readJson(c, MAX_BODY_BYTES));
    const version = parseVersion(to);
    if (!version)
      throw invalid(
        `"to" must name a kept generation, found ${quote(to)}. Write its first hex digits, or "-1" for the previous generation.`,
        "to",
      );
    const result = await writerOfRecord(context, before).restore(
      before.name,
      version,
      preconditionOf(c, before.generation),
    );
    notePut(context, result, requestFacts(c), "rolled_back");
    c.header("etag", etagOf(result.record.generation));
    return c.json(adapterJson(context, result.record));
  },
};

const verifyRoute: Route = {
  method: "post",
  path: "/v1/adapters/:name/verify",
  scope: "write",
  document: {
    summary: "Run the golden answers of a stored adapter, or of one of its generations",
    tags,
    request: { params: nameParameter, query: ownerQuery },
    responses: jsonResponses("The results of the golden answers. The adapter is not changed.", verifiedSchema),
  },
  handle: async (context, c) => {
    const record = await namedRecord(context, c);
    const held = holdRecord(context, record);
    try {
      const verification = await verifyStored(context, c.get("tenant"), record);
      c.header("etag", etagOf(record.generation));
      return c.json({ id: record.name, object: "adapter.verification", generation: record.generation, verification });
    } finally {
      held.release();
    }
  },
};

/** The record of a name. The path may not name a generation. @throws {AppError} invalid_request, adapter_not_found. */
async function namedBy(context: AppContext, c: RequestContext, isWhole = false) {
  const name = c.req.param("name") ?? "";
  assertAdapterName(name);
  const record = await existingAdapter(context, c, name);
  if (isWhole) await context.sharedStore?.names.refresh(record, true);
  return record;
}

export const versionRoutes: readonly Route[] = [listVersionsRoute, rollbackRoute, verifyRoute];
