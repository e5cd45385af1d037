/** Clients for Node against the demo: everything that docs/reference/clients.md says of them. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../helpers/server.ts";
import {
  type Client,
  failures,
  HERE,
  type Place,
  placeOnNode22,
  recorded,
  runClient,
  startClientsServer,
} from "./clients.ts";

const HERE_CLIENTS: readonly Client[] = [
  { id: "openai", script: "openai.mjs", packages: ["openai"] },
  { id: "ai-sdk", script: "ai-sdk.mjs", packages: ["@ai-sdk/openai", "ai"] },
  { id: "ai-sdk-compatible", script: "ai-sdk-compatible.mjs", packages: ["@ai-sdk/openai-compatible", "ai"] },
  { id: "anthropic", script: "anthropic.mjs", packages: ["@anthropic-ai/sdk"] },
];
const NODE_22_CLIENTS: readonly Client[] = [
  { id: "openai-7", script: "openai.mjs", packages: ["openai"] },
  { id: "ai-sdk-7", script: "ai-sdk.mjs", packages: ["@ai-sdk/openai", "ai"] },
  { id: "ai-sdk-compatible-7", script: "ai-sdk-compatible.mjs", packages: ["@ai-sdk/openai-compatible", "ai"] },
  { id: "langchain", script: "langchain.mjs", packages: ["@langchain/openai", "@langchain/core"] },
  { id: "agents", script: "agents.mjs", packages: ["@openai/agents"] },
];

const node22 = placeOnNode22();
let server: TestServer;
beforeAll(async () => {
  server = await startClientsServer();
});
afterAll(() => server[Symbol.asyncDispose]());

async function check(client: Client, place: Place): Promise<void> {
  const run = await runClient(client, place, server);
  expect(failures(run)).toEqual([]);
  expect(run).toEqual(recorded(client, run));
}

describe("does what the table of clients says", () => {
  it.each(HERE_CLIENTS)("$id", (client) => check(client, HERE), 180_000);
  it.skipIf(node22 === null).each(NODE_22_CLIENTS)(
    "$id, on Node 22",
    (client) => check(client, node22 as Place),
    180_000,
  );
});
