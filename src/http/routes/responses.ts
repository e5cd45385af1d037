/**
 * POST /v1/responses, and the responses that are kept: GET, DELETE and their input items. A tenant sees only its own.
 */
import { z } from "@hono/zod-openapi";
import { AppError, quote } from "../../errors.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { responsesRequest } from "../completion/responses/request-schema.ts";
import type { StoredResponse } from "../completion/responses/response-store.ts";
import { responsesKind } from "../completion/responses/responses.ts";
import { runCompletion } from "../completion/run.ts";
import { parseRequest } from "../request/parse-request.ts";
import { jsonResponses, type Route } from "../route.ts";

const tags = ["OpenAI"];
const params = z.object({ id: z.string().openapi({ param: { name: "id", in: "path" } }) });

const response = z
  .looseObject({
    id: z.string(),
    object: z.literal("response"),
    status: z.enum(["completed", "incomplete", "in_progress", "failed"]),
    output: z.array(z.looseObject({ type: z.string() })),
  })
  .openapi("Response");

const deleted = z
  .object({ id: z.string(), object: z.literal("response"), deleted: z.literal(true) })
  .openapi("DeletedResponse");

const itemList = z
  .looseObject({ object: z.literal("list"), data: z.array(z.looseObject({ type: z.string() })), has_more: z.boolean() })
  .openapi("ItemList");

const listQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.string().max(128).optional().openapi({ description: "Continue after the item with this id." }),
});

/** @throws {AppError} response_not_found. */
function stored({ responses }: AppContext, c: RequestContext): StoredResponse {
  const id = c.req.param("id") ?? "";
  const found = responses.get(c.get("tenant"), id);
  if (found) return found;
  throw responseNotFound(id);
}

function responseNotFound(id: string): AppError {
  const message = `There is no response ${quote(id)}. The server keeps only recent responses, until it stops.`;
  return new AppError("response_not_found", message, { param: "id" });
}

function inputItems({ items }: StoredResponse, c: RequestContext): Response {
  const { limit, order, after } = parseRequest(listQuery, c.req.query());
  const all = order === "asc" ? items : items.toReversed();
  const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && start === 0)
    throw new AppError("invalid_request", `"after" is ${quote(after)}, which is not an item of this response.`, {
      param: "after",
    });
  const data = all.slice(start, start + limit).map(asListed);
  const [first, last] = [data.at(0)?.id ?? null, data.at(-1)?.id ?? null];
  return c.json({ object: "list", data, first_id: first, last_id: last, has_more: start + limit < all.length });
}

/** A message's text is a part in a list of items. */
function asListed<T extends { type?: string | undefined; content?: unknown; id?: unknown }>(item: T): T {
  if (item.type !== "message" || typeof item.content !== "string") return item;
  return { ...item, content: [{ type: "input_text", text: item.content }] };
}

export const responsesRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/v1/responses",
    scope: "use",
    document: {
      summary: "Answer a conversation, in the shape of OpenAI's Responses API",
      tags,
      request: { body: { required: true, content: { "application/json": { schema: responsesRequest } } } },
      responses: jsonResponses("The response, or with stream: true its events.", response),
    },
    handle: (context, c) => runCompletion(context, c, responsesKind),
  },
  {
    method: "get",
    path: "/v1/responses/:id",
    scope: "use",
    document: {
      summary: "A stored response",
      tags,
      request: { params },
      responses: jsonResponses("The response.", response),
    },
    handle: (context, c) => {
      if (c.req.query("stream") === "true")
        throw new AppError("unsupported_parameter", '"stream" is not supported for a response that is kept.', {
          param: "stream",
        });
      return c.json(stored(context, c).response);
    },
  },
  {
    method: "delete",
    path: "/v1/responses/:id",
    scope: "use",
    document: {
      summary: "Forget a response",
      tags,
      request: { params },
      responses: jsonResponses("The response is forgotten.", deleted),
    },
    handle: (context, c) => {
      const id = c.req.param("id") ?? "";
      if (!context.responses.delete(c.get("tenant"), id)) throw responseNotFound(id);
      return c.json({ id, object: "response", deleted: true });
    },
  },
  {
    method: "get",
    path: "/v1/responses/:id/input_items",
    scope: "use",
    document: {
      summary: "The conversation before a response, as items",
      tags,
      request: { params, query: listQuery },
      responses: jsonResponses("The items.", itemList),
    },
    handle: (context, c) => inputItems(stored(context, c), c),
  },
];
