/** The routes of stored adapters: list, one, its bytes, put, delete. */
import { z } from "@hono/zod-openapi";
import { decodeAdapter } from "../../adapter/adapter-file.ts";
import { assertFits } from "../../adapter/adapter.ts";
import { foreignFileNotice } from "../../adapter/foreign-file.ts";
import { AppError, quote } from "../../errors.ts";
import type { Caller } from "../../keys/caller.ts";
import { type AdapterRecord, assertAdapterName } from "../../store/adapter-record.ts";
import {
  adapterJson,
  adapterSchema,
  etagOf,
  isNotModified,
  listQuery,
  nameParameter,
  ownerQuery,
  preconditionOf,
  putQuery,
} from "../adapters/adapter-json.ts";
import { adapterPages } from "../adapters/adapter-pages.ts";
import { deleteAdapter, notePut } from "../adapters/change-adapter.ts";
import { requestFacts } from "../adapters/log-change.ts";
import { verifyModeOf, verifyUpload } from "../adapters/verify-adapter.ts";
import { existingAdapter, ownerToPut } from "../adapters/owner.ts";
import { assertReference, parseReference } from "../../store/version-reference.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { readBody } from "../request/read-body.ts";
import { errorResponses, jsonResponses, type Route } from "../route.ts";

const tags = ["Adapters"];
const listSchema = z
  .object({ object: z.literal("list"), data: z.array(adapterSchema), has_more: z.boolean() })
  .openapi("AdapterList");
const deletedSchema = z
  .object({ id: z.string(), object: z.literal("adapter"), deleted: z.literal(true) })
  .openapi("AdapterDeleted");
const bytesContent = { "application/octet-stream": { schema: z.string().openapi({ format: "binary" }) } };

export const listAdaptersRoute: Route = {
  method: "get",
  path: "/v1/adapters",
  scope: "use",
  document: {
    summary: "All adapters",
    tags,
    request: { query: listQuery },
    responses: jsonResponses("The adapters, in the order of their names.", listSchema),
  },
  handle: (context, c) => {
    const { limit, after } = parseRequest(listQuery, c.req.query());
    if (after !== undefined) assertAdapterName(after); // before the answer begins
    const parts = listParts(context, c.get("caller"), limit, after);
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const { done, value } = await parts.next();
        if (done === true) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      cancel: async () => void (await parts.return(undefined)),
    });
    return c.body(body, 200, { "content-type": "application/json" });
  },
};

export const getAdapterRoute: Route = {
  method: "get",
  path: "/v1/adapters/:name",
  scope: "use",
  document: {
    summary: "One adapter",
    tags,
    request: { params: nameParameter, query: ownerQuery },
    responses: jsonResponses("The adapter.", adapterSchema),
  },
  handle: async (context, c) => {
    const record = await namedRecord(context, c);
    c.header("etag", etagOf(record.generation));
    return isNotModified(c, record.generation) ? c.body(null, 304) : c.json(adapterJson(context, record));
  },
};

export const adapterContentRoute: Route = {
  method: "get",
  path: "/v1/adapters/:name/content",
  scope: "use",
  document: {
    summary: "The bytes of a .mosara file",
    tags,
    request: { params: nameParameter, query: ownerQuery },
    responses: {
      200: { description: "The file.", content: bytesContent },
      304: { description: "The file has not changed since the generation that If-None-Match names." },
      ...errorResponses,
    },
  },
  handle: async (context, c) => {
    const record = await namedRecord(context, c);
    c.header("etag", etagOf(record.generation));
    if (isNotModified(c, record.generation)) return c.body(null, 304);
    const bytes = context.store.content(record.generation);
    if (!bytes) throw notFound(record.name); // deleted between the two reads
    c.header("content-disposition", `attachment; filename="${fileNameOf(record)}.mosara"`);
    return c.body(new Uint8Array(bytes), 200, { "content-type": "application/octet-stream" });
  },
};

function tooLarge(head: Uint8Array, maxAdapterBytes: number): AppError {
  const foreign = head.byteLength > 0 ? foreignFileNotice(head) : null;
  return new AppError(
    "adapter_too_large",
    `The adapter is larger than the ${maxAdapterBytes} bytes that this server accepts.${foreign === null ? "" : ` It is not a .mosara file: ${foreign}`}`,
  );
}

export const putAdapterRoute: Route = {
  method: "put",
  path: "/v1/adapters/:name",
  scope: "write",
  document: {
    summary: "Add or replace an adapter",
    tags,
    request: { params: nameParameter, query: putQuery, body: { required: true, content: bytesContent } },
    responses: {
      ...jsonResponses("The adapter was replaced, or is unchanged.", adapterSchema),
      201: { description: "The adapter is new.", content: { "application/json": { schema: adapterSchema } } },
    },
  },
  handle: async (context, c) => {
    const name = newNameOf(context, c);
    const { owner, writer } = await ownerToPut(context, c, name);
    const mode = verifyModeOf(context, c);
    try {
      const { maxAdapterBytes } = context.limits;
      const bytes = await readBody(c, maxAdapterBytes, (head) => tooLarge(head, maxAdapterBytes));
      const adapter = decodeAdapter(bytes, { maxBytes: maxAdapterBytes });
      assertFits(adapter, context.base.signature);
      const verification = await verifyUpload(context, c.get("tenant"), { bytes, adapter }, mode);
      const precondition = preconditionOf(c, context.store.namesOf(owner).get(name)?.generation);
      const result = await writer.put(name, { bytes, adapter }, precondition);
      const { record, outcome } = result;
      context.metrics.recordAdapterLoad("upload", "ok");
      notePut(context, result, requestFacts(c));
      c.header("etag", etagOf(record.generation));
      const answer = { ...adapterJson(context, record), ...(verification === null ? {} : { verification }) };
      return c.json(answer, outcome === "created" ? 201 : 200);
    } catch (error) {
      context.metrics.recordAdapterLoad("upload", "error");
      throw error;
    }
  },
};

export const deleteAdapterRoute: Route = {
  method: "delete",
  path: "/v1/adapters/:name",
  scope: "write",
  document: {
    summary: "Delete an adapter",
    tags,
    request: { params: nameParameter, query: ownerQuery },
    responses: jsonResponses("The adapter is deleted. Running requests finish on it.", deletedSchema),
  },
  handle: async (context, c) => {
    const record = await namedRecord(context, c);
    const text = c.req.param("name") ?? "";
    await deleteAdapter(context, c, { record, text }, preconditionOf);
    return c.json({ id: text, object: "adapter", deleted: true });
  },
};

/**
 * The list as pieces of JSON. Ten thousand adapters of a large model are a hundred megabytes, which should never be in
 * memory at once.
 */
async function* listParts(
  context: AppContext,
  caller: Caller,
  limit: number,
  after: string | undefined,
): AsyncGenerator<string> {
  let numLeft = limit;
  let hasMore = false;
  yield '{"object":"list","data":[';
  for await (const records of adapterPages(context, caller, after)) {
    const shown = records.slice(0, numLeft);
    const text = shown.map((record) => JSON.stringify(adapterJson(context, record))).join(",");
    if (text !== "") yield numLeft < limit ? `,${text}` : text;
    numLeft -= shown.length;
    hasMore = shown.length < records.length;
    if (hasMore) break;
  }
  yield `],"has_more":${hasMore}}`;
}

/**
 * The record that the path names, perhaps an earlier generation.
 * @throws {AppError} adapter_not_found, ambiguous_generation, invalid_request.
 */
export async function namedRecord(context: AppContext, c: RequestContext): Promise<AdapterRecord> {
  const text = c.req.param("name") ?? "";
  assertReference(text);
  return await existingAdapter(context, c, text);
}

/** The name that a PUT gives. @throws {AppError} invalid_request. */
function newNameOf(context: AppContext, c: RequestContext): string {
  const name = c.req.param("name") ?? "";
  if (name === context.base.name)
    throw invalid(`"${name}" is the name of the served model. Choose another name.`, "name");
  if (name === "residency")
    throw invalid('"residency" is a route, so no adapter can have this name. Choose another name.', "name");
  if (parseReference(name)?.version.kind !== "current")
    throw invalid(
      `${quote(name)} names one generation, and generations never change. PUT to the name before the "@".`,
      "name",
    );
  assertAdapterName(name);
  return name;
}

function fileNameOf({ name, generation, isEarlier }: AdapterRecord): string {
  return isEarlier === true ? `${name}@${generation.slice(0, 12)}` : name;
}

function notFound(name: string): AppError {
  return new AppError("adapter_not_found", `There is no adapter "${name}". List them with GET /v1/adapters.`);
}
