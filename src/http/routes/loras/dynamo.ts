/**
 * Dynamo's routes to load, list and unload adapters. Loading a name again replaces its content, so that a declared
 * source is what is served. Errors have Dynamo's fields beside the error object (error-response.ts). Source: Dynamo's
 * `LoadLoraRequest` and `LoraResponse`.
 */
import { createHash } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { AppError } from "../../../errors.ts";
import { checkFields } from "../../../fields/check-fields.ts";
import { nameParameter } from "../../adapters/adapter-json.ts";
import { adapterPages } from "../../adapters/adapter-pages.ts";
import { isCompatible } from "../../adapters/find-adapter.ts";
import { type Loaded, loadSharedAdapter, unloadAdapter } from "../../adapters/load-shared-adapter.ts";
import { parseRequest } from "../../request/parse-request.ts";
import { readJson } from "../../request/read-body.ts";
import { jsonResponses, type Route } from "../../route.ts";
import { loraName, loraPath, MAX_LORA_BODY_BYTES } from "./lora-requests.ts";

/** Dynamo's list has no pages. */
const MAX_LISTED = 10_000;
const tags = ["Adapters"];
const loadRequest = z
  .looseObject({
    lora_name: loraName,
    source: z.looseObject({
      uri: loraPath.openapi({
        description: "file:// below --adapters, or hf://, s3:// or https:// below --adapter-source.",
      }),
    }),
  })
  .openapi("LoadLora");
const status = z.literal("success");
const id = z.int().openapi({ description: "A number for the name. It is always the same." });
const changedSchema = z
  .object({ status, message: z.string(), lora_name: z.string(), lora_id: id })
  .openapi("LoraChanged");
const listSchema = z.object({ status, loras: z.record(z.string(), id), count: z.int() }).openapi("LoraList");

const VERBS: Readonly<Record<Loaded, string>> = {
  added: "loaded successfully",
  replaced: "hot-swapped successfully",
  present: "already loaded",
};

const listRoute: Route = {
  method: "get",
  path: "/v1/loras",
  scope: "use",
  document: {
    summary: "The names of all compatible adapters (as Dynamo)",
    tags,
    responses: jsonResponses(`At most ${MAX_LISTED} names, each with a number.`, listSchema),
  },
  handle: async (context, c) => {
    const loras: Record<string, number> = {};
    let count = 0;
    for await (const records of adapterPages(context, c.get("caller"), undefined)) {
      for (const record of records)
        if (count < MAX_LISTED && isCompatible(context, record)) {
          loras[record.name] = loraId(record.name);
          count += 1;
        }
      if (count === MAX_LISTED) break;
    }
    return c.json({ status: "success", loras, count });
  },
};

const loadRoute: Route = {
  method: "post",
  path: "/v1/loras",
  scope: "admin",
  document: {
    summary: "Load an adapter, or replace it (as Dynamo)",
    tags,
    request: { body: { required: true, content: { "application/json": { schema: loadRequest } } } },
    responses: jsonResponses("The adapter is loaded.", changedSchema),
  },
  handle: async (context, c) => {
    const body = await readJson(c, MAX_LORA_BODY_BYTES);
    checkFields(body, "loras", { isStrict: context.limits.refusesUnknownFields });
    const { lora_name: name, source } = parseRequest(loadRequest, body);
    const loaded = await loadSharedAdapter(context, c, { name, path: source.uri, mayReplace: true }).catch(namedAsHere);
    const message = `LoRA adapter '${name}' ${VERBS[loaded]}`;
    return c.json({ status: "success", message, lora_name: name, lora_id: loraId(name) });
  },
};

const unloadRoute: Route = {
  method: "delete",
  path: "/v1/loras/:name",
  scope: "write",
  document: {
    summary: "Remove an adapter (as Dynamo)",
    tags,
    request: { params: nameParameter },
    responses: jsonResponses("The adapter is removed.", changedSchema),
  },
  handle: async (context, c) => {
    const name = c.req.param("name") ?? "";
    await unloadAdapter(context, c, name);
    const message = `LoRA adapter '${name}' unloaded successfully`;
    return c.json({ status: "success", message, lora_name: name, lora_id: loraId(name) });
  },
};

/** Errors of the path name vLLM's field for it. @throws the error, with the field of this route */
function namedAsHere(error: unknown): never {
  if (error instanceof AppError && error.details.param === "lora_path")
    throw new AppError(error.code, error.message, { ...error.details, param: "source.uri", cause: error });
  throw error;
}

/** A positive int32. Dynamo's own numbers come from another hash. */
const loraId = (name: string): number =>
  Math.max(1, createHash("sha256").update(name).digest().readUInt32BE(0) & 0x7f_ff_ff_ff);

export const dynamoLoraRoutes: readonly Route[] = [listRoute, loadRoute, unloadRoute];
