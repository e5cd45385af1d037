/**
 * What /metrics says of ready adapters, on the demo: a series comes with the first request, and goes when the adapter
 * is pushed out, deleted or replaced, and when the engine is started again.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { decodeAdapter } from "../../../src/adapter/adapter-file.ts";
import { openBase } from "../../../src/base/base.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import { zeroRow } from "../../../src/engine/adapters/adapter-row.ts";
import { childrenOf } from "../../helpers/processes.ts";
import { complete, metric, send, startServer, type TestServer, until } from "../../helpers/server.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
const MODEL = join(packageRoot(), "models", "demo");
const fileOf = (name: string): Buffer => readFileSync(join(packageRoot(), "adapters", `${name}.mosara`));
const rankOf = (name: string): number => Math.max(...decodeAdapter(fileOf(name)).targets.map(({ k }) => k));

let server: TestServer;
beforeAll(async () => {
  await using base = await openBase(MODEL);
  const room = Math.floor(zeroRow(base.layout).bytes * 2.5); // for two of the demo's adapters
  const args = ["--model", MODEL, "--served-model-name", "demo", "--adapter-cache-bytes", String(room)];
  server = await startServer([...args, "--max-num-seqs", "4"]);
  for (const name of ["pirate", "formal", "json"]) await put(name);
});
afterAll(() => server[Symbol.asyncDispose]());

async function put(name: string, content = name): Promise<void> {
  const { status } = await send(`${server.url}/v1/adapters/${name}`, "PUT", fileOf(content), {
    headers: { "content-type": "application/octet-stream" },
  });
  expect(status).toBeLessThan(300);
}
const ask = async (model: string): Promise<void> =>
  expect((await complete(server.url, { model, prompt: "Hello", max_tokens: 2 })).status).toBe(200);
const metricsText = async (): Promise<string> => (await send(`${server.url}/metrics`, "GET")).text;
const value = (series: string): Promise<number> => metric(server.url, series);
const loaded = async (): Promise<string[]> =>
  (await metricsText())
    .split("\n")
    .filter((line) => line.startsWith("vllm:lora_adapter_loaded{"))
    .toSorted();
const lineOf = (name: string, pinned = false, content = name): string =>
  `vllm:lora_adapter_loaded{adapter_name="${name}",level="gpu",pinned="${pinned}",rank="${rankOf(content)}"} 1`;
/** Whether the filter of GET /v1/adapters/residency has these names, by the steps of docs/reference/residency.md. */
async function filtered(names: readonly string[]): Promise<boolean[]> {
  const { json, headers } = await send<{ count: number; filter: { bits: number; hashes: number; data: string } }>(
    `${server.url}/v1/adapters/residency`,
    "GET",
  );
  const etag = headers.get("etag") ?? "";
  const again = await fetch(`${server.url}/v1/adapters/residency`, { headers: { "if-none-match": etag } });
  expect([again.status, json.count]).toEqual([304, 1]);
  const data = Buffer.from(json.filter.data, "base64");
  return names.map((name) => {
    const hash = createHash("sha256").update(name).digest();
    const [a, b] = [hash.readUInt32LE(0), (hash.readUInt32LE(4) | 1) >>> 0];
    const bits = Array.from({ length: json.filter.hashes }, (_, i) => (a + i * b) % json.filter.bits);
    return bits.every((bit) => (((data[Math.floor(bit / 8)] ?? 0) >> (bit % 8)) & 1) === 1);
  });
}
const untilLoaded = async (...lines: string[]): Promise<void> =>
  void (await until(
    "the series of what is ready",
    async () => (await loaded()).join("\n"),
    (text) => text === lines.toSorted().join("\n"),
  ));

describe("residency", () => {
  it("begins with a request, and ends where others need the room", async () => {
    expect(await loaded()).toEqual([]);
    expect(await value("vllm:num_gpu_loaded_lora_adapters")).toBe(0);
    expect(await value("vllm:max_gpu_lora_adapters")).toBe(4); // as many as may run at once
    await ask("pirate");
    await untilLoaded(lineOf("pirate"));
    expect(await filtered(["default/pirate", "default/formal", "shared/pirate"])).toEqual([true, false, false]);
    expect(await value("vllm:num_gpu_loaded_lora_adapters")).toBe(1);
    expect(await value('vllm:lora_adapter_load_seconds_count{transition="load"}')).toBe(1);
    expect(await value('vllm:lora_adapter_load_seconds_sum{transition="load"}')).toBeGreaterThan(0);
    await ask("formal");
    await ask("pirate");
    await ask("json");
    await untilLoaded(lineOf("pirate"), lineOf("json"));
    expect(await value("vllm:num_gpu_loaded_lora_adapters")).toBe(2);
    expect(await value('vllm:lora_adapter_load_seconds_count{transition="load"}')).toBe(3);
  });

  it("ends with DELETE, for that name alone, and with another content", async () => {
    await put("corsair", "pirate");
    await ask("corsair");
    await untilLoaded(lineOf("pirate"), lineOf("json"), lineOf("corsair", false, "pirate"));
    await send(`${server.url}/v1/adapters/corsair`, "DELETE");
    expect(await loaded()).toEqual([lineOf("pirate"), lineOf("json")].toSorted());
    await send(`${server.url}/v1/adapters/pirate`, "DELETE");
    expect(await loaded()).toEqual([lineOf("json")]);
    await until(
      "one adapter",
      () => value("vllm:num_gpu_loaded_lora_adapters"),
      (count) => count === 1,
    );
    await put("json", "terse");
    expect(await loaded()).toEqual([]);
    await ask("json");
    await untilLoaded(lineOf("json", false, "terse"));
  });

  it("says of a merged adapter that it is pinned, while its engine serves", async () => {
    const place = (placement: string) =>
      send(
        `${server.url}/v1/adapters/formal/placement`,
        "POST",
        { placement },
        {
          headers: { "content-type": "application/json" },
        },
      );
    expect((await place("merged")).status).toBe(200);
    expect(await loaded()).toContain(lineOf("formal", true));
    expect(await value("vllm:max_gpu_lora_adapters")).toBe(5);
    await place("live");
    await until("it to be live", loaded, (lines) => !lines.includes(lineOf("formal", true)));
    expect(await value("vllm:max_gpu_lora_adapters")).toBe(4);
  });

  it("begins anew with the engine's process", async () => {
    await ask("json");
    await untilIncluded(lineOf("json", false, "terse"));
    const before = childrenOf(server.pid);
    process.kill(before[0] as number, "SIGKILL"); // there is one
    await until(
      "the restart",
      () => value("mosara_engine_restarts_total"),
      (count) => count === 1,
    );
    await untilLoaded();
    expect(await value("vllm:num_gpu_loaded_lora_adapters")).toBe(0);
    await until("an answer", async () => (await send(`${server.url}/readyz`, "GET")).status === 200);
    await ask("json");
    await untilLoaded(lineOf("json", false, "terse"));
  });
});

async function untilIncluded(line: string): Promise<void> {
  await until("the series", loaded, (lines) => lines.includes(line));
}
