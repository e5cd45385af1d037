/**
 * Clients for Python against the demo: everything that docs/reference/clients.md says of them. MOSARA_CLIENTS_PYTHON
 * names a Python with them.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { hasModule } from "../helpers/outside/clients-python.ts";
import type { TestServer } from "../helpers/server.ts";
import { type Client, failures, PYTHON_PLACE, recorded, runClient, startClientsServer } from "./clients.ts";

/** Some import for many seconds. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const CLIENTS: readonly (Client & { readonly module: string })[] = [
  ["openai", "openai"],
  ["anthropic", "anthropic"],
  ["langchain", "langchain-openai", "langchain-core", "openai"],
  ["instructor", "instructor", "openai"],
  ["pydantic_ai", "pydantic-ai-slim", "openai"],
  ["litellm", "litellm", "openai"],
  ["agents", "openai-agents", "openai"],
].map(([name = "", ...packages]) => ({
  id: `python-${name}`,
  script: `${name}_client.py`,
  packages,
  module: name === "langchain" ? "langchain_openai" : name,
}));
const PRESENT = new Set(CLIENTS.filter(({ module }) => hasModule(module)).map(({ id }) => id));

let server: TestServer;
beforeAll(async () => {
  if (PRESENT.size > 0) server = await startClientsServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

describe("does what the table of clients says", () => {
  for (const client of CLIENTS)
    it.skipIf(!PRESENT.has(client.id))(client.id, async () => {
      const run = await runClient(client, PYTHON_PLACE, server);
      expect(failures(run)).toEqual([]);
      expect(run).toEqual(recorded(client, run));
    });
});
