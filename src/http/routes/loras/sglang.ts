/**
 * SGLang's routes to load and unload an adapter. They answer with an object. Its errors have SGLang's fields beside the
 * error object (error-response.ts). Source: SGLang's `LoRAUpdateOutput`.
 */
import { z } from "@hono/zod-openapi";
import { loadSharedAdapter, unloadAdapter } from "../../adapters/load-shared-adapter.ts";
import { jsonResponses, type Route } from "../../route.ts";
import { loadBody, readLoadRequest, readUnloadRequest, unloadBody } from "./lora-requests.ts";

const updateSchema = z
  .object({
    success: z.literal(true),
    error_message: z.literal(""),
    loaded_adapters: z.record(z.string(), z.string()).openapi({
      description: "The adapter that this request has loaded, with its path. All others are not listed.",
    }),
  })
  .openapi("LoraUpdate");
const responses = jsonResponses("The change was made.", updateSchema);

const loadRoute: Route = {
  method: "post",
  path: "/load_lora_adapter",
  scope: "admin",
  document: {
    summary: "Load an adapter from the --adapters directory or an address (as SGLang)",
    tags: ["Adapters"],
    request: loadBody,
    responses,
  },
  handle: async (context, c) => {
    const request = await readLoadRequest(context, c);
    await loadSharedAdapter(context, c, request);
    return c.json({ success: true, error_message: "", loaded_adapters: { [request.name]: request.path } });
  },
};

const unloadRoute: Route = {
  method: "post",
  path: "/unload_lora_adapter",
  scope: "write",
  document: { summary: "Remove an adapter (as SGLang)", tags: ["Adapters"], request: unloadBody, responses },
  handle: async (context, c) => {
    await unloadAdapter(context, c, await readUnloadRequest(context, c));
    return c.json({ success: true, error_message: "", loaded_adapters: {} });
  },
};

export const sglangLoraRoutes: readonly Route[] = [loadRoute, unloadRoute];
