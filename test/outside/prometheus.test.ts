/**
 * Prometheus itself scrapes the server and answers every query of the dashboard. promtool has nothing to say of our
 * metrics but that vLLM's names have a colon, and our alerts fire when they should.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { freePort, hasProgram, runProgram, type RunningProgram, startProgram } from "../helpers/outside/programs.ts";
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

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** A file of the folder `deploy`. */
const deployed = (...path: string[]): string => readFileSync(join(packageRoot(), "deploy", ...path), "utf8");

describe.skipIf(!hasProgram("prometheus", "a scrape by Prometheus"))("Prometheus", () => {
  let prometheus: RunningProgram;
  let query: (expression: string) => Promise<string[]>;

  beforeAll(async () => {
    const [port, dir] = [await freePort(), tempDir()];
    const targets = `[{ targets: ["${new URL(server.url).host}"] }]`;
    const config = `scrape_configs: [{ job_name: mosara, scrape_interval: 500ms, scrape_timeout: 500ms, static_configs: ${targets} }]\n`;
    writeFileSync(join(dir, "prometheus.yml"), config);
    prometheus = startProgram(
      "prometheus",
      [
        `--config.file=${join(dir, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(dir, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      dir,
    );
    query = async (expression) => {
      const path = `/api/v1/query?query=${encodeURIComponent(expression)}`;
      const answer = await send<{ data?: { result: { value: [number, string] }[] }; error?: string }>(
        `http://127.0.0.1:${port}${path}`,
        "GET",
      ).catch(() => null);
      if (answer?.status === 400) throw new Error(`${expression}: ${answer.json.error}`);
      return (answer?.json?.data?.result ?? []).map(({ value }) => value[1]);
    };
    await until(
      "a scrape that worked",
      async () => (await query("up"))[0],
      (up) => up === "1",
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${prometheus.output()}`);
    });
  });
  afterAll(() => prometheus[Symbol.asyncDispose]());

  it("scrapes the server without a key", async () => {
    expect(await query("vllm:generation_tokens_total")).toEqual(["10"]);
    expect(await query('sum(mosara_adapter_tokens_total{adapter="pirate",kind="generation"})')).toEqual(["5"]);
    expect(await query("histogram_quantile(0.5, sum by (le) (vllm:request_generation_tokens_bucket))")).toHaveLength(1);
  });

  it("answers every query of the dashboard, with names that the server has", async () => {
    const { panels } = JSON.parse(deployed("grafana", "mosara.json")) as { panels: readonly Panel[] };
    const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
    expect(queries.length).toBeGreaterThan(20);
    const { text } = await send(`${server.url}/metrics`, "GET");
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    for (const { title, expr } of queries) {
      const names = [...expr.matchAll(/\b(?:vllm:|mosara_|process_)\w+/g)].map(([name]) => name);
      const isKnown = (name: string) => known.has(name) || known.has(name.replace(/_(bucket|sum|count)$/, ""));
      expect([title, names.length > 0, names.filter((name) => !isKnown(name))]).toEqual([title, true, []]);
      const asked = expr
        .replaceAll("$job", "mosara")
        .replaceAll("$instance", ".*")
        .replaceAll("$__rate_interval", "1m");
      expect(asked).not.toContain("$");
      await until(`${title}: ${asked}`, async () => (await query(asked)).length > 0);
    }
  });
});

describe.skipIf(!hasProgram("promtool", "the alerts"))("the alerts", () => {
  it("fire on trouble, each of them, and not on a healthy server", () => {
    const alerts = join(packageRoot(), "test", "outside", "alerts.yml");
    const { status, output } = runProgram("promtool", ["test", "rules", alerts]);
    expect([status, output]).toEqual([0, expect.stringContaining("SUCCESS")]);
    const { groups } = parse(deployed("prometheus", "alerts.yml")) as { groups: { rules: { alert: string }[] }[] };
    const names = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
    const tested = readFileSync(alerts, "utf8");
    expect(names.filter((name) => !tested.includes(`alertname="${name}"`))).toEqual([]);
  });
});
