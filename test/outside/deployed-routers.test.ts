/** The routers of deploy/ before several servers: an adapter stays on its server, and no request is lost. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { hasProgram } from "../helpers/outside/programs.ts";
import { type DeployedRouter, type RouterName, startDeployedRouter } from "../helpers/outside/routers.ts";
import { complete, send, startServer, stream, type TestServer, until } from "../helpers/server.ts";

/** Starting servers and programs on a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
const [DEMO, ADAPTERS] = [join(packageRoot(), "models", "demo"), join(packageRoot(), "adapters")];
const NAMES = ["pirate", "formal", "terse", "json", "steps", "library", "bedtime", "cheerful"];
const REPLICAS = ["replica-1", "replica-2"];
const ROUTERS = (["haproxy", "envoy"] as const).filter((name) => hasProgram(name, `deploy/${name}`));

describe.skipIf(ROUTERS.length === 0)("a router of deploy/", () => {
  let servers: readonly [TestServer, TestServer];
  const routers = new Map<RouterName, DeployedRouter>();
  beforeAll(async () => {
    const flags = ["--model", DEMO, "--served-model-name", "demo", "--adapters", ADAPTERS, "--shutdown-timeout", "240"];
    servers = await Promise.all([startServer(flags), startServer(flags)]);
    const addresses = servers.map(({ url }) => new URL(url).host);
    await Promise.all(ROUTERS.map(async (name) => routers.set(name, await startDeployedRouter(name, addresses))));
  });
  afterAll(async () => {
    for (const router of routers.values()) await router[Symbol.asyncDispose]();
    for (const server of servers ?? []) await server[Symbol.asyncDispose]();
  });
  const urlOf = (name: RouterName): string => routers.get(name)?.url ?? "";
  const servedBy = async (router: RouterName, body: object, init: RequestInit = {}): Promise<string | null> => {
    const answer = await complete(urlOf(router), { prompt: "Hello", max_tokens: 1, ...body }, init);
    expect(answer.status).toBe(200);
    return answer.headers.get("x-served-by");
  };
  // One after the other: at most twice the mean number of requests are sent to a server at a time.
  const homesBy = async (router: RouterName): Promise<(string | null)[]> => {
    const homes: (string | null)[] = [];
    for (const model of NAMES) homes.push(await servedBy(router, { model }));
    return homes;
  };

  it.each(ROUTERS)("%s keeps an adapter on one server, however a request names it", async (router) => {
    const homes = await homesBy(router);
    expect(new Set(homes)).toEqual(new Set(REPLICAS));
    for (const [index, name] of NAMES.entries()) {
      const adapter = await send<{ generation: string }>(`${servers[0].url}/v1/adapters/${name}`, "GET");
      expect(adapter.status).toBe(200);
      const generation = { model: `${name}@${adapter.json.generation}` };
      const ways = [{ model: `demo:${name}` }, { model: "demo", adapter: name }, generation];
      for (const way of ways) expect(await servedBy(router, way)).toBe(homes[index]);
      // A colon of the name's own is no base before it.
      const fineTuned = { headers: { "x-routing-key": `ft:demo:acme:${name}:1a2b` } };
      const home = await servedBy(router, { model: "demo" }, fineTuned);
      expect(await servedBy(router, { model: "demo" }, fineTuned)).toBe(home);
    }
    // A header of the caller goes before the body, and requests of the base go to both.
    expect(await servedBy(router, { model: "terse" }, { headers: { "x-routing-key": "pirate" } })).toBe(homes[0]);
    const ofBase = new Set<string | null>();
    await until("both servers to answer for the base", async () => {
      ofBase.add(await servedBy(router, { model: "demo" }));
      return ofBase.size === REPLICAS.length;
    });
  });

  it("loses no request while a server stops", async () => {
    const streams = await Promise.all(
      ROUTERS.map(async (router) => {
        const homes = await homesBy(router);
        const model = NAMES[homes.indexOf("replica-2")];
        const { answer, ended } = stream(urlOf(router), { model, prompt: "Hello", max_tokens: 200 });
        await until("the stream to begin", () => answer.ids.length > 0);
        return { router, model, answer, ended };
      }),
    );
    const exited = servers[1].stop();
    await Promise.all(
      streams.map(async ({ router, model, answer, ended }) => {
        // Before and after the server knows that it stops, and before and after the router knows: each one is answered.
        await until(
          "the other server to answer",
          () => servedBy(router, { model }),
          (name) => name === "replica-1",
        );
        await ended;
        expect([answer.ids.length, answer.isDone]).toEqual([200, true]);
      }),
    );
    expect(await exited).toBe(0);
    for (const { router, model } of streams)
      for (let i = 0; i < 4; i++) expect(await servedBy(router, { model })).toBe("replica-1");
  });

  // A retry of HAProxy avoids the server before it alone. With one server lost and one stopping, retries went to these
  // two in turn until they were used up, and the third was never asked. Envoy allows three retries at a time by
  // default, and the others were answered 503.
  it.each(ROUTERS)("%s finds the third server while one is lost and another stops", async (name) => {
    let isStopping = false;
    const status = (index: number) => (isStopping && index === 1 ? 503 : 200);
    const fakes = [0, 1, 2].map((index) =>
      createServer((request, response) => {
        request.resume();
        response.writeHead(status(index)).end();
      }).listen(0, "127.0.0.1"),
    );
    await Promise.all(fakes.map(async (one) => (one.listening ? undefined : await once(one, "listening"))));
    const addresses = fakes.map((one) => `127.0.0.1:${(one.address() as AddressInfo).port}`);
    await using router = await startDeployedRouter(name, addresses);
    isStopping = true;
    fakes[0]?.close();
    fakes[0]?.closeAllConnections();
    const models = Array.from({ length: 24 }, (_, index) => `tenant-${index}`);
    const answers = await Promise.all(
      models.map((model) => send(`${router.url}/v1/completions`, "POST", JSON.stringify({ model }))),
    );
    const served = answers.map((answer) => [answer.status, answer.headers.get("x-served-by")]);
    expect(served).toEqual(models.map(() => [200, "replica-3"]));
    for (const one of fakes.slice(1)) {
      one.close();
      one.closeAllConnections();
    }
  });
});

/** smg reads a key from a header alone, and knows the base alone as a model. The adapter is a field of its own. */
describe.skipIf(!hasProgram("smg", "deploy/smg"))("smg of deploy/", () => {
  let servers: readonly [TestServer, TestServer];
  let router: DeployedRouter;
  beforeAll(async () => {
    const flags = ["--model", DEMO, "--served-model-name", "demo", "--adapters", ADAPTERS, "--shutdown-timeout", "240"];
    servers = await Promise.all([startServer(flags), startServer(flags)]);
    router = await startDeployedRouter(
      "smg",
      servers.map(({ url }) => new URL(url).host),
    );
  });
  afterAll(async () => {
    await router?.[Symbol.asyncDispose]();
    for (const server of servers ?? []) await server[Symbol.asyncDispose]();
  });
  const bodyOf = (adapter: string) => ({ model: "demo", adapter, prompt: "Hello", max_tokens: 4 });
  const askFor = (adapter: string, key: string) =>
    complete(router.url, bodyOf(adapter), { headers: { "content-type": "application/json", "x-routing-key": key } });
  const homeOf = async (key: string): Promise<string | null> => {
    const { status, headers, text } = await askFor("pirate", key);
    expect(status, text).toBe(200);
    return headers.get("x-smg-routed-worker-id");
  };
  /** It hashes the servers' addresses, which differ in every run: so many keys have both homes. */
  const KEYS = Array.from({ length: 32 }, (_, index) => `tenant-${index}`);
  const homesOf = async (): Promise<ReadonlyMap<string, string | null>> => {
    const homes = new Map<string, string | null>();
    for (const key of KEYS) homes.set(key, await homeOf(key));
    return homes;
  };

  it("keeps a key on one server, and passes an adapter's answers on", async () => {
    const homes = await homesOf();
    expect(new Set(homes.values())).toEqual(new Set(servers.map(({ url }) => url)));
    expect(await homesOf()).toEqual(homes);
    for (const name of NAMES) {
      const [through, direct] = [await askFor(name, name), await complete(servers[0].url, bodyOf(name))];
      expect(through.json.choices[0]?.token_ids).toEqual(direct.json.choices[0]?.token_ids);
    }
  });

  it("lets nobody without its key add a server", async () => {
    const add = (headers: Record<string, string>) =>
      send(`${router.url}/workers`, "POST", { url: servers[0].url }, { headers });
    expect((await add({ "content-type": "application/json" })).status).toBe(401);
  });

  it("loses no request while a server stops", async () => {
    const [first, second] = servers;
    const [key = ""] = [...(await homesOf())].find(([, home]) => home === second.url) ?? [];
    const exited = second.stop();
    await until(
      "the other server to answer",
      () => homeOf(key), // each of these requests is answered
      (home) => home === first.url,
    );
    expect(await exited).toBe(0);
    for (let i = 0; i < 4; i++) expect(await homeOf(key)).toBe(first.url);
  });
});
