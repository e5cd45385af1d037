/** HAProxy and nginx before the server, configured as their manuals begin: checks see it up, answers and streams come through. */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { freePort, hasProgram, type RunningProgram, startProgram } from "../helpers/outside/programs.ts";
import { complete, send, startServer, stream, tempDir, type TestServer, until } from "../helpers/server.ts";

/** Starting a server and a program on a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
const [DEMO, ADAPTERS] = [join(packageRoot(), "models", "demo"), join(packageRoot(), "adapters")];
const SERVE = ["--model", DEMO, "--served-model-name", "demo", "--adapters", ADAPTERS];
let server: TestServer;
beforeAll(async () => {
  server = await startServer(SERVE);
});
afterAll(() => server[Symbol.asyncDispose]());

const REQUEST = { model: "demo", prompt: "Hello, where is my red kettle?", max_tokens: 24 };

/** The same answer through the proxy as without it, whole and streamed, and the stream in pieces. */
async function expectSameAnswers(proxy: string): Promise<void> {
  const direct = await complete(server.url, REQUEST);
  const ids = direct.json.choices[0]?.token_ids;
  expect(ids).toHaveLength(24);
  const whole = await complete(proxy, REQUEST);
  expect([whole.status, whole.json.choices[0]?.token_ids]).toEqual([200, ids]);
  const { answer, ended } = stream(proxy, REQUEST);
  await ended;
  expect([answer.status, answer.ids, answer.isDone]).toEqual([200, ids, true]);
  expect(answer.numChunks).toBe(24);
  const wrong = await send(`${proxy}/v1/chat/completions/`, "POST", "{}");
  expect([wrong.status, wrong.text]).toEqual([404, expect.stringContaining("Did you mean POST /v1/chat/completions?")]);
}

describe.skipIf(!hasProgram("haproxy", "HAProxy before the server"))("HAProxy", () => {
  let other: TestServer;
  beforeAll(async () => {
    other = await startServer(SERVE);
  });
  afterAll(() => other[Symbol.asyncDispose]());
  const generationOf = async (name: string) =>
    (await send<{ generation: string }>(`${server.url}/v1/adapters/${name}`, "GET")).json.generation;
  const addressOf = ({ url }: TestServer) => new URL(url).host;

  /** What HAProxy's statistics say of its servers: status, and what the last check said. */
  const untilUp = async (haproxy: RunningProgram, statistics: string, names: readonly string[]): Promise<void> => {
    // A server counts as up until its first check has ended: L7OK says that the check was answered.
    const stateOf = async (name: string) => {
      if (haproxy.child.exitCode !== null) throw new Error(`HAProxy ended: ${haproxy.output()}`);
      const csv = await send(`${statistics};csv`, "GET").catch(() => null);
      const [header = [], ...rows] = (csv?.text ?? "").split("\n").map((line) => line.replace(/^# /, "").split(","));
      const row = rows.find(([, own]) => own === name);
      return [row?.[header.indexOf("status")], row?.[header.indexOf("check_status")]];
    };
    for (const name of names)
      await until(
        `${name} to be up`,
        () => stateOf(name),
        ([status, check]) => status === "UP" && check?.endsWith("L7OK") === true,
      );
  };

  it("with its plain `option httpchk` sees the servers up, and brings answers and streams through", async () => {
    const [port, statsPort] = [await freePort(), await freePort()];
    const dir = tempDir();
    const config = `
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen mosara
  bind 127.0.0.1:${port}
  option httpchk
  server first ${addressOf(server)} check inter 200ms
  server second ${addressOf(other)} check inter 200ms
listen stats
  bind 127.0.0.1:${statsPort}
  stats enable
  stats uri /stats
`;
    writeFileSync(join(dir, "haproxy.cfg"), config);
    await using haproxy = startProgram("haproxy", ["-db", "-f", join(dir, "haproxy.cfg")], dir);
    await untilUp(haproxy, `http://127.0.0.1:${statsPort}/stats`, ["first", "second"]);
    await expectSameAnswers(`http://127.0.0.1:${port}`);
  });

  it("of deploy/haproxy keeps an adapter on one server, and loses no request while that server stops", async () => {
    const [port, statsPort] = [await freePort(), await freePort()];
    const dir = tempDir();
    const settings = [`LISTEN=127.0.0.1:${port}`, `STATISTICS=127.0.0.1:${statsPort}`, `RUN_DIR=${dir}`];
    const script = join(packageRoot(), "deploy", "haproxy", "start.sh");
    const servers = [addressOf(server), addressOf(other)];
    await using haproxy = startProgram("env", [...settings, "MOSARA_MODEL=demo", script, ...servers], dir);
    await untilUp(haproxy, `http://127.0.0.1:${statsPort}/`, ["replica-1", "replica-2"]);
    const proxy = `http://127.0.0.1:${port}`;
    const servedBy = async (body: object, init: RequestInit = {}): Promise<string | null> => {
      const answer = await complete(proxy, { prompt: "Hello", max_tokens: 1, ...body }, init);
      expect(answer.status).toBe(200);
      return answer.headers.get("x-served-by");
    };
    const names = ["pirate", "formal", "terse", "json", "steps", "library", "bedtime", "cheerful"];
    // One after the other: at most twice the mean number of requests are sent to a server at a time.
    const homes: (string | null)[] = [];
    for (const model of names) homes.push(await servedBy({ model }));
    expect(new Set(homes)).toEqual(new Set(["replica-1", "replica-2"]));
    const generations = await Promise.all(names.map((name) => generationOf(name)));
    for (const [index, name] of names.entries()) {
      const ways = [
        { model: `demo:${name}` },
        { model: "demo", adapter: name },
        { model: `${name}@${generations[index]}` },
      ];
      for (const way of ways) expect(await servedBy(way)).toBe(homes[index]);
    }
    // A header of the caller goes before the body, and requests of the base go to both in turn.
    const byKey = { headers: { "x-routing-key": "pirate" } };
    expect(await servedBy({ model: "terse" }, byKey)).toBe(homes[0]);
    for (const name of names) {
      // A colon of the name's own is no base before it.
      const fineTuned = { headers: { "x-routing-key": `ft:demo:acme:${name}:1a2b` } };
      expect(await servedBy({ model: "demo" }, fineTuned)).toBe(await servedBy({ model: "demo" }, fineTuned));
    }
    const ofBase = new Set<string | null>();
    for (let i = 0; i < 8; i++) ofBase.add(await servedBy({ model: "demo" }));
    expect(ofBase).toEqual(new Set(homes));

    const away = names.find((_, index) => homes[index] === "replica-2");
    const { answer, ended } = stream(proxy, { model: away, prompt: "Hello", max_tokens: 400 });
    await until("the stream to begin", () => answer.ids.length > 0);
    const exited = other.stop();
    // Before and after the server knows that it stops, and before and after HAProxy knows: each one is answered.
    await until(
      "the other server to answer",
      () => servedBy({ model: away }),
      (name) => name === "replica-1",
    );
    await ended;
    expect([answer.ids.length, answer.isDone, await exited]).toEqual([400, true, 0]);
    for (let i = 0; i < 4; i++) expect(await servedBy({ model: away })).toBe("replica-1");
  });

  // A retry avoids the server before it alone. With one server lost and one stopping, retries went to these two in turn
  // until they were used up, and the third was never asked.
  it("of deploy/haproxy finds the third server while one is lost and another stops", async () => {
    const [port, statsPort] = [await freePort(), await freePort()];
    const dir = tempDir();
    const settings = [`LISTEN=127.0.0.1:${port}`, `STATISTICS=127.0.0.1:${statsPort}`, `RUN_DIR=${dir}`];
    const script = join(packageRoot(), "deploy", "haproxy", "start.sh");
    let isStopping = false;
    const status = (index: number) => (isStopping && index === 1 ? 503 : 200);
    const servers = [0, 1, 2].map((index) =>
      createServer((request, response) => {
        request.resume();
        response.writeHead(status(index)).end();
      }).listen(0, "127.0.0.1"),
    );
    await Promise.all(servers.map(async (one) => (one.listening ? undefined : await once(one, "listening"))));
    const addresses = servers.map((one) => `127.0.0.1:${(one.address() as AddressInfo).port}`);
    await using haproxy = startProgram("env", [...settings, "MOSARA_MODEL=demo", script, ...addresses], dir);
    await untilUp(haproxy, `http://127.0.0.1:${statsPort}/`, ["replica-1", "replica-2", "replica-3"]);
    isStopping = true;
    servers[0]?.close();
    servers[0]?.closeAllConnections();
    const models = Array.from({ length: 24 }, (_, index) => `tenant-${index}`);
    const answers = await Promise.all(
      models.map((model) => send(`http://127.0.0.1:${port}/v1/completions`, "POST", JSON.stringify({ model }))),
    );
    expect(answers.map(({ headers }) => headers.get("x-served-by"))).toEqual(models.map(() => "replica-3"));
    for (const one of servers.slice(1)) {
      one.close();
      one.closeAllConnections();
    }
  });
});

describe.skipIf(!hasProgram("nginx", "nginx before the server"))("nginx", () => {
  const startNginx = async (location: string): Promise<RunningProgram & { url: string }> => {
    const [port, dir] = [await freePort(), tempDir()];
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => {
      mkdirSync(join(dir, name));
      return `${name}_temp_path ${join(dir, name)};`;
    });
    const config = `
daemon off; master_process off; pid ${join(dir, "pid")}; error_log stderr;
events {}
http {
  access_log off; ${paths.join(" ")}
  server { listen 127.0.0.1:${port}; location / { proxy_pass ${server.url}; ${location} } }
}
`;
    writeFileSync(join(dir, "nginx.conf"), config);
    const nginx = startProgram("nginx", ["-p", dir, "-c", join(dir, "nginx.conf"), "-e", "stderr"], dir);
    const url = `http://127.0.0.1:${port}`;
    const isUp = () =>
      fetch(`${url}/health`).then(
        () => true,
        () => false,
      );
    await until(`nginx to listen; ${nginx.output()}`, isUp);
    return { ...nginx, url };
  };

  it.each([
    ["as it is by default, with HTTP/1.0", ""],
    ["with HTTP/1.1 and connections kept", 'proxy_http_version 1.1; proxy_set_header Connection "";'],
  ])("%s brings answers and streams through", async (_, location) => {
    await using nginx = await startNginx(location);
    await expectSameAnswers(nginx.url);
  });

  it("that passes a public name on is told that --allowed-host is needed", async () => {
    await using nginx = await startNginx("proxy_set_header Host llm.example;");
    const refused = await complete(nginx.url, REQUEST);
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining("--allowed-host")]);
  });
});
