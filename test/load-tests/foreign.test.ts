/** `npm run bench -- <scenario> --url` against a foreign OpenAI server whose delays are known. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { startScripted } from "../helpers/outside/scripted-openai.ts";

const RUN = fileURLToPath(new URL("../../dist/load-tests/run.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "mosara-foreign-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Written {
  readonly results: readonly { readonly figures: readonly { readonly what: string; readonly samples: number[] }[] }[];
}

/** Not spawnSync: the server lives in this process. */
async function bench(...args: string[]): Promise<{ status: number; stderr: string; figures: Map<string, number[]> }> {
  const out = join(folder, "out.json");
  rmSync(out, { force: true });
  const child = spawn(process.execPath, [RUN, ...args, "--work", folder, "--out", out], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const [status] = (await once(child, "close")) as [number];
  const figures = new Map<string, number[]>();
  if (status === 0)
    for (const { what, samples } of (JSON.parse(readFileSync(out, "utf8")) as Written).results[0]?.figures ?? [])
      figures.set(what, samples);
  return { status, stderr, figures };
}

it("measures the clients' gain where the server takes any number at once", { timeout: 60_000 }, async () => {
  await using server = await startScripted({ firstTokenMs: 40, tokenMs: 15 });
  const { status, stderr, figures } = await bench("clients", "--smoke", "--url", server.url, "--model", "foreign");
  expect(status, stderr).toBe(0);
  const first = (what: string): number => figures.get(what)?.[0] ?? NaN;
  // Sixteen clients do not slow each other there: nearly sixteen times as much as one, were it not for the last
  // answers.
  expect(first("foreign, 16 clients ÷ 1 client")).toBeGreaterThan(2); // much less on a crowded machine
  expect(first("foreign, 16 clients ÷ 1 client")).toBeLessThan(17);
  for (const [what, least] of [
    ["foreign, 1 client: first token p50", 40],
    ["foreign, 1 client: between tokens p50", 15],
  ] as const) {
    expect(first(what), what).toBeGreaterThanOrEqual(least - 2);
  }
  expect(first("foreign, 16 clients: errors")).toBe(0);
  expect(figures.has("foreign, 16 clients: event-loop delay p99")).toBe(false); // it has no /metrics
  expect(new Set(server.bodies.map(({ model }) => model))).toEqual(new Set(["foreign"]));
});

it("draws adapters among those that are named, over chat", { timeout: 60_000 }, async () => {
  await using server = await startScripted({ firstTokenMs: 2, tokenMs: 1 });
  const flags = ["--url", server.url, "--model", "foreign", "--adapters", "x,y", "--api", "chat"];
  const { status, stderr, figures } = await bench("mixed", "--smoke", ...flags);
  expect(status, stderr).toBe(0);
  expect([...figures.keys()]).toContain("foreign, Zipf over 2 adapters ÷ no adapter");
  expect(new Set(server.bodies.map(({ model }) => model))).toEqual(new Set(["foreign", "x", "y"]));
  expect(new Set(server.paths)).toEqual(new Set(["/v1/chat/completions"]));
});

it.each([
  [["engine", "--url", "http://127.0.0.1:9"], "clients"],
  [["--url", "http://127.0.0.1:9"], "clients"],
  [["clients", "--url", "nowhere"], "http"],
  [["clients", "--model", "x"], "--url"],
  [["clients", "--url", "http://127.0.0.1:9"], "no server"],
])("refuses %j in a line that says what is wrong", async (args, word) => {
  const { status, stderr } = await bench(...args);
  expect(status).toBe(2);
  expect(stderr.trim().split("\n").at(-1)).toContain(word);
});
