/** vLLM's routes to load an adapter from a file or an address, and to unload one. They answer with a sentence. */
import { z } from "@hono/zod-openapi";
import { loadSharedAdapter, unloadAdapter } from "../../adapters/load-shared-adapter.ts";
import { errorResponses, type Route } from "../../route.ts";
import { loadBody, readLoadRequest, readUnloadRequest, unloadBody } from "./lora-requests.ts";

const responses = {
  200: { description: "A sentence that reports success.", content: { "text/plain": { schema: z.string() } } },
  ...errorResponses,
};

const loadRoute: Route = {
  method: "post",
  path: "/v1/load_lora_adapter",
  scope: "admin",
  document: {
    summary: "Load an adapter from the --adapters directory or an address (as vLLM)",
    tags: ["Adapters"],
    request: loadBody,
    responses,
  },
  handle: async (context, c) => {
    const request = await readLoadRequest(context, c);
    const isPresent = (await loadSharedAdapter(context, c, request)) === "present";
    return c.text(
      isPresent
        ? `Success: LoRA adapter '${request.name}' is loaded already.`
        : `Success: LoRA adapter '${request.name}' added successfully.`,
    );
  },
};

const unloadRoute: Route = {
  method: "post",
  path: "/v1/unload_lora_adapter",
  scope: "write",
  document: { summary: "Remove an adapter (as vLLM)", tags: ["Adapters"], request: unloadBody, responses },
  handle: async (context, c) => {
    const name = await readUnloadRequest(context, c);
    await unloadAdapter(context, c, name);
    return c.text(`Success: LoRA adapter '${name}' removed successfully.`);
  },
};

export const vllmLoraRoutes: readonly Route[] = [loadRoute, unloadRoute];
