/** Prometheus itself scrapes the server, and promtool has nothing to say of our metrics but that vLLM's names have a colon. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { freePort, hasProgram, runProgram, startProgram } from "../helpers/programs.ts";
import { complete, send, startServer, tempDir, type TestServer, until } from "../helpers/server.ts";

/** Starting a server and a program on a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
const KEY = "sk-0123456789abcdef";
const AUTHORIZED = { headers: { authorization: `Bearer ${KEY}` } };
let server: TestServer;
beforeAll(async () => {
  const model = join(packageRoot(), "models", "demo");
  const args = ["--model", model, "--served-model-name", "demo", "--api-key", KEY, "--public-metrics"];
  server = await startServer([...args, "--adapters", join(packageRoot(), "adapters")]);
  for (const name of ["demo", "pirate"])
    expect((await complete(server.url, { model: name, prompt: "Hello", max_tokens: 5 }, AUTHORIZED)).status).toBe(200);
});
afterAll(() => server[Symbol.asyncDispose]());

it.skipIf(!hasProgram("promtool", "promtool check metrics"))("promtool finds nothing wrong", async () => {
  const { text } = await send(`${server.url}/metrics`, "GET");
  const { output } = runProgram("promtool", ["check", "metrics"], text);
  const isExpected = (line: string) =>
    line === "" ||
    /^vllm:\w+ metric names should not contain ':'$/.test(line) || // vLLM's dashboards want them so
    /^nodejs_active_\w+_total non-counter metrics should not have "_total" suffix$/.test(line); // prom-client's own
  expect(output.split("\n").filter((line) => !isExpected(line))).toEqual([]);
});

it.skipIf(!hasProgram("prometheus", "a scrape by Prometheus"))("Prometheus scrapes it without a key", async () => {
  const [port, dir] = [await freePort(), tempDir()];
  const targets = `[{ targets: ["${new URL(server.url).host}"] }]`;
  const config = `scrape_configs: [{ job_name: mosara, scrape_interval: 500ms, scrape_timeout: 500ms, static_configs: ${targets} }]\n`;
  writeFileSync(join(dir, "prometheus.yml"), config);
  const args = [
    `--config.file=${join(dir, "prometheus.yml")}`,
    `--storage.tsdb.path=${join(dir, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  await using prometheus = startProgram("prometheus", args, dir);
  const query = async (expression: string): Promise<string[]> => {
    const path = `/api/v1/query?query=${encodeURIComponent(expression)}`;
    const answer = await send<{ data?: { result: { value: [number, string] }[] } }>(
      `http://127.0.0.1:${port}${path}`,
      "GET",
    ).catch(() => null);
    return (answer?.json?.data?.result ?? []).map(({ value }) => value[1]);
  };
  await until(
    "a scrape that worked",
    async () => (await query("up"))[0],
    (up) => up === "1",
  ).catch((error: Error) => {
    throw new Error(`${error.message}\n${prometheus.output()}`);
  });
  expect(await query("vllm:generation_tokens_total")).toEqual(["10"]);
  expect(await query('sum(mosara_adapter_tokens_total{adapter="pirate",kind="generation"})')).toEqual(["5"]);
  expect(await query("histogram_quantile(0.5, sum by (le) (vllm:request_generation_tokens_bucket))")).toHaveLength(1);
});
