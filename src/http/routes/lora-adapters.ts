/**
 * vLLM's routes to load an adapter from a file on the server, and to unload one. They only read the --adapters
 * directory and the addresses of --adapter-source.
 */
import { z } from "@hono/zod-openapi";
import { decodeAdapter, generationOf } from "../../adapter/adapter-file.ts";
import { assertFits } from "../../adapter/adapter.ts";
import { AppError } from "../../errors.ts";
import { checkFields } from "../../fields/check-fields.ts";
import { assertAdapterName } from "../../store/adapter-record.ts";
import { ADAPTER_EXTENSION, resolveInside } from "../../store/directory/directory-files.ts";
import type { PutResult } from "../../store/adapter-names.ts";
import type { Precondition } from "../../store/precondition.ts";
import { SHARED } from "../../store/tenant.ts";
import { deleteAdapter, notePut } from "../adapters/change-adapter.ts";
import { requestFacts } from "../adapters/log-change.ts";
import type { AppContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { readJson } from "../request/read-body.ts";
import { refreshNamed, writerOf } from "../adapters/shared-names.ts";
import { findAdapter } from "../adapters/find-adapter.ts";
import { errorResponses, type Route } from "../route.ts";

const MAX_BODY_BYTES = 65_536;
const loadRequest = z
  .looseObject({
    lora_name: z.string().min(1).max(512),
    lora_path: z.string().min(1).max(4096),
    load_inplace: z.boolean().nullish(),
  })
  .openapi("LoadLoraAdapter");
const unloadRequest = z.looseObject({ lora_name: z.string().min(1).max(512) }).openapi("UnloadLoraAdapter");
const responses = {
  200: { description: "A sentence that reports success.", content: { "text/plain": { schema: z.string() } } },
  ...errorResponses,
};

export const loadLoraRoute: Route = {
  method: "post",
  path: "/v1/load_lora_adapter",
  scope: "admin",
  document: {
    summary: "Load an adapter from the --adapters directory (as vLLM)",
    tags: ["Adapters"],
    request: { body: { required: true, content: { "application/json": { schema: loadRequest } } } },
    responses,
  },
  handle: async (context, c) => {
    const body = await readJson(c, MAX_BODY_BYTES);
    checkFields(body, "load_lora", { isStrict: context.limits.refusesUnknownFields });
    const fields = parseRequest(loadRequest, body);
    const name = fields.lora_name;
    assertAdapterName(name);
    if (name === context.base.name)
      throw invalid(`"${name}" is the name of the served model. Choose another name.`, "lora_name");
    const { generation, put } = await findAdapterAt(context, fields.lora_path);
    await refreshNamed(context, c.get("caller"), name);
    const own = context.store.namesOf(c.get("tenant")).get(name);
    const loaded = own ?? context.store.namesOf(SHARED).get(name);
    if (loaded && (own || fields.load_inplace !== true)) {
      // Some callers load an adapter before every use, or again after a timeout, although it is already loaded.
      if (loaded.generation === generation) return c.text(`Success: LoRA adapter '${name}' is loaded already.`);
      // A tenant's own adapter would hide a shared one.
      const remedy = own
        ? `It is the tenant's own: delete it with DELETE /v1/adapters/${name}, or choose another name.`
        : 'Set "load_inplace" to true to replace it.';
      throw invalid(`The lora adapter '${name}' has already been loaded with other content. ${remedy}`, "lora_name");
    }
    const precondition = fields.load_inplace === true ? {} : { ifNoneMatch: "*" as const };
    const result = await put(name, precondition);
    context.metrics.recordAdapterLoad("directory", "ok");
    notePut(context, result, requestFacts(c));
    return c.text(`Success: LoRA adapter '${name}' added successfully.`);
  },
};

export const unloadLoraRoute: Route = {
  method: "post",
  path: "/v1/unload_lora_adapter",
  scope: "write",
  document: {
    summary: "Remove an adapter (as vLLM)",
    tags: ["Adapters"],
    request: { body: { required: true, content: { "application/json": { schema: unloadRequest } } } },
    responses,
  },
  handle: async (context, c) => {
    const body = await readJson(c, MAX_BODY_BYTES);
    checkFields(body, "unload_lora", { isStrict: context.limits.refusesUnknownFields });
    const { lora_name: name } = parseRequest(unloadRequest, body);
    await refreshNamed(context, c.get("caller"), name);
    const record = findAdapter(context, c.get("caller"), name);
    if (!record)
      throw new AppError("adapter_not_found", `The lora adapter '${name.slice(0, 140)}' cannot be found.`, {
        param: "lora_name",
      });
    await deleteAdapter(context, c, { record, text: name });
    return c.text(`Success: LoRA adapter '${name}' removed successfully.`);
  },
};

/** The content that a path or an address names, checked to fit the base, and the way in which it becomes an adapter. */
async function findAdapterAt(
  context: AppContext,
  path: string,
): Promise<{ generation: string; put: (name: string, precondition: Precondition) => Promise<PutResult> }> {
  if (!/^[a-z0-9]+:\/\//i.test(path)) {
    const { directory, path: found, generation } = await findFile(context, path);
    return { generation, put: (name, precondition) => directory.importFile(found, { name, precondition }) };
  }
  if (context.addresses === null)
    throw invalid(
      "This server reads no addresses. Start it with --adapter-source, or upload the adapter.",
      "lora_path",
    );
  const bytes = await context.addresses.read(path);
  const adapter = decodeAdapter(bytes, { maxBytes: context.limits.maxAdapterBytes });
  assertFits(adapter, context.base.signature);
  const writer = writerOf(context, SHARED);
  return {
    generation: generationOf(bytes),
    put: (name, precondition) => writer.put(name, { bytes, adapter }, precondition),
  };
}

/**
 * The file or PEFT directory that `path` names below the --adapters directory, checked to fit the base. `.mosara` may
 * be omitted.
 */
async function findFile({ adapters, base, limits }: AppContext, path: string) {
  if (adapters === null)
    throw invalid(
      "This server has no --adapters directory to load from. Upload with PUT /v1/adapters/{name}.",
      "lora_path",
    );
  const { root, directory } = adapters;
  const found = await resolveInside(root, path).catch((error: unknown) => {
    const isMissing = error instanceof AppError && error.code === "adapter_not_found";
    if (!isMissing || path.endsWith(ADAPTER_EXTENSION)) throw error;
    return resolveInside(root, `${path}${ADAPTER_EXTENSION}`);
  });
  const bytes = await directory.read(found.path);
  assertFits(decodeAdapter(bytes, { maxBytes: limits.maxAdapterBytes }), base.signature);
  return { directory, path: found.path, generation: generationOf(bytes) };
}
