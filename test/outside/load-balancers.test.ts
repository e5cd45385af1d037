/**
 * HAProxy and nginx before the server, configured as their manuals begin: checks see it up, answers and streams come
 * through.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { freePort, hasProgram, type RunningProgram, startProgram } from "../helpers/outside/programs.ts";
import { untilHaproxySees } from "../helpers/outside/routers.ts";
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
  it("with its plain `option httpchk` sees the server up, and brings answers and streams through", async () => {
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
  server first ${new URL(server.url).host} check inter 200ms
listen stats
  bind 127.0.0.1:${statsPort}
  stats enable
  stats uri /stats
`;
    writeFileSync(join(dir, "haproxy.cfg"), config);
    await using haproxy = startProgram("haproxy", ["-db", "-f", join(dir, "haproxy.cfg")], dir);
    await untilHaproxySees(haproxy, `http://127.0.0.1:${statsPort}/stats`, ["first"]);
    await expectSameAnswers(`http://127.0.0.1:${port}`);
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
