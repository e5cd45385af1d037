/** The bodies of vLLM's and SGLang's routes, which have the same fields. */
import { z } from "@hono/zod-openapi";
import { checkFields } from "../../../fields/check-fields.ts";
import type { LoadRequest } from "../../adapters/load-shared-adapter.ts";
import type { AppContext, RequestContext } from "../../context.ts";
import { parseRequest } from "../../request/parse-request.ts";
import { readJson } from "../../request/read-body.ts";

export const MAX_LORA_BODY_BYTES = 65_536;
export const loraName = z.string().min(1).max(512);
export const loraPath = z.string().min(1).max(4096);

const loadRequest = z
  .looseObject({ lora_name: loraName, lora_path: loraPath, load_inplace: z.boolean().nullish() })
  .openapi("LoadLoraAdapter");
const unloadRequest = z.looseObject({ lora_name: loraName }).openapi("UnloadLoraAdapter");

const jsonBody = (schema: z.ZodType) => ({ body: { required: true, content: { "application/json": { schema } } } });
export const loadBody = jsonBody(loadRequest);
export const unloadBody = jsonBody(unloadRequest);

/** @throws {AppError} invalid_request, unsupported_parameter, request_too_large */
export async function readLoadRequest({ limits }: AppContext, c: RequestContext): Promise<LoadRequest> {
  const body = await readJson(c, MAX_LORA_BODY_BYTES);
  checkFields(body, "load_lora", { isStrict: limits.refusesUnknownFields });
  const { lora_name: name, lora_path: path, load_inplace: mayReplace } = parseRequest(loadRequest, body);
  return { name, path, mayReplace: mayReplace === true };
}

/** @returns the name. @throws {AppError} invalid_request, unsupported_parameter, request_too_large */
export async function readUnloadRequest({ limits }: AppContext, c: RequestContext): Promise<string> {
  const body = await readJson(c, MAX_LORA_BODY_BYTES);
  checkFields(body, "unload_lora", { isStrict: limits.refusesUnknownFields });
  return parseRequest(unloadRequest, body).lora_name;
}
