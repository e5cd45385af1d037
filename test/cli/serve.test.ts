/** The built program as a process: ready line, answers, signals, wrong usage. Needs dist/ (npm test builds it). */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { readManifest } from "../../src/base/manifest.ts";
import { expectAllclose, maxAbsDifference } from "../helpers/allclose.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import {
  MAIN,
  checkpoint,
  dir,
  base,
  run,
  serve,
  complete,
  scoresOf,
  adapterFor,
  useTinyBase,
} from "../helpers/built-program.ts";
import { isAlive } from "../helpers/processes.ts";

useTinyBase();

describe("mosara serve", () => {
  it("prints exactly one line when it is ready, and answers under the directory's name", async () => {
    const { url, printed, child, exited } = await serve();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const answer = (await (await complete(url)).json()) as { usage: { completion_tokens: number } };
    expect(answer.usage.completion_tokens).toBe(40);
    expect(printed.stdout).toBe(`mosara listening on ${url}\n`);
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  });

  it("keeps its log on stderr, as JSON lines that hold neither keys nor prompts", async () => {
    const key = "sk-0123456789abcdef";
    const { url, printed, child, exited } = await serve(["--api-key", `acme=${key}`]);
    const headers = { authorization: `Bearer ${key}`, "x-request-id": `id-${key}` };
    const body = JSON.stringify({ model: "tiny", prompt: [5, 6, 7], max_tokens: 3, user: "secret words" });
    expect((await fetch(`${url}/v1/completions`, { method: "POST", headers, body })).status).toBe(200);
    await fetch(`${url}/v1/completions?api_key=${key}`, { method: "POST", headers, body: "{" });
    await fetch(`${url}/healthz`);
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
    expect(printed.stdout).toBe(`mosara listening on ${url}\n`);
    expect(printed.stderr).not.toContain(key);
    const lines = printed.stderr.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { level: "warn", msg: expect.stringContaining("no adapter is served") as string },
      {
        level: "info",
        msg: "request",
        method: "POST",
        path: "/v1/completions",
        status: 200,
        tenant: "acme",
        promptTokens: 3,
        tokens: 3,
        finishReason: "length",
        requestId: "id-[redacted]",
      },
      { msg: "request", path: "/v1/completions", status: 400, error: "invalid_request" },
      { msg: "stopping", signal: "SIGTERM" },
    ]);
  });

  it("logs nothing with --log-level silent", async () => {
    const { url, printed, child, exited } = await serve(["--log-level", "silent"]);
    await (await complete(url)).text();
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
    expect(printed.stderr).toBe("");
  });

  it("lets what runs end on SIGTERM, refuses what is new, and exits 0", async () => {
    const { url, child, exited } = await serve();
    const running = await complete(url, { stream: true, max_tokens: 80, n: 128 });
    expect(running.status).toBe(200);
    child.kill("SIGTERM");
    await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(503);
    const refused = await complete(url);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(await running.text()).toMatch(/"finish_reason":"length".*\n\ndata: \[DONE\]\n\n$/s);
    expect(await exited).toBe(0);
  });

  it("ends what still runs after --shutdown-timeout with an error", async () => {
    const { url, child, exited } = await serve(["--shutdown-timeout", "0"]);
    const running = await complete(url, { stream: true, max_tokens: 80, n: 128 });
    expect(running.status).toBe(200);
    child.kill("SIGINT");
    expect(await running.text()).not.toContain("[DONE]");
    expect(await exited).toBe(0);
  });

  it("ends at once on a second signal, its engine with it", async () => {
    const { url, child, exited } = await serve();
    const running = await complete(url, { stream: true, max_tokens: 80, n: 128 });
    const engines = execFileSync("ps", ["-o", "pid=", "--ppid", String(child.pid)])
      .toString()
      .trim()
      .split(/\s+/);
    child.kill("SIGTERM");
    await sleep(600); // sooner it would be taken for the first one, passed on by npm
    child.kill("SIGTERM");
    expect(await exited).toBe(1);
    await expect(running.text()).rejects.toThrow();
    for (const pid of engines) await expect.poll(() => isAlive(Number(pid)), { timeout: 10_000 }).toBe(false);
  });

  it("takes the environment for flags and keys", async () => {
    const { url } = await serve([], { MOSARA_API_KEY: "acme=k", MOSARA_SERVED_MODEL_NAME: "other/name" });
    expect((await fetch(`${url}/v1/models`)).status).toBe(401);
    const models = await fetch(`${url}/v1/models`, { headers: { authorization: "Bearer k" } });
    expect(await models.json()).toMatchObject({ data: [{ id: "other/name" }] });
  });

  it("imports adapters before it is ready, and answers merged as it does live", async () => {
    const adapters = join(dir, "adapters");
    mkdirSync(adapters, { recursive: true });
    for (const seed of [1, 2]) writeFileSync(join(adapters, `a${seed}.mosara`), await adapterFor(base, seed));
    const { url } = await serve(["--adapters", adapters, "--merge", "a1"]);
    const placement = async (name: string) =>
      ((await (await fetch(`${url}/v1/adapters/${name}`)).json()) as { placement: string }).placement;
    const score = (model: string) => scoresOf(url, model);
    expect([await placement("a1"), await placement("a2")]).toEqual(["merged", "live"]);
    const merged = await score("a1");
    const move = await fetch(`${url}/v1/adapters/a1/placement`, { method: "POST", body: '{"placement":"live"}' });
    expect(move.status).toBe(200);
    expectAllclose(merged, await score("a1"), { atol: 1e-4 });
    for (const other of ["a2", "tiny"]) expect(maxAbsDifference(await score(other), merged)).toBeGreaterThan(1e-3);
    const again = await fetch(`${url}/v1/adapters/a1/placement`, { method: "POST", body: '{"placement":"merged"}' });
    const { merge } = (await again.json()) as { merge: { maxAbsLogitDifference: number; kl: number } };
    expect(merge.maxAbsLogitDifference).toBeLessThan(1e-3);
    expect(merge.kl).toBeLessThan(1e-6);
  });

  it("builds a checkpoint into the cache once", async () => {
    const cache = join(dir, "cache");
    const args = ["serve", "--model", checkpoint, "--port", "0", "--weights", "int8", "--cache", cache];
    for (const isFirst of [true, false]) {
      const server = run([...args, "--data", mkdtempSync(join(dir, "data-"))]);
      await expect.poll(() => server.printed.stdout, { timeout: 30_000 }).toContain("listening");
      expect(server.printed.stderr.includes("weights")).toBe(isFirst);
      server.child.kill("SIGTERM");
      expect(await server.exited).toBe(0);
    }
  });

  it("says in one line why it cannot start", async () => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) =>
      taken.listen(0, "127.0.0.1", () => resolve((taken.address() as { port: number }).port)),
    );
    const cases: [string[], RegExp][] = [
      [["--model", base, "--port", String(port)], /port \d+: another program listens there/],
      [["--model", join(dir, "nothing")], /neither a base directory/],
      [["--model", base, "--weights", "int8"], /build flags are only for checkpoints/],
      [["--model", base, "--adapters", join(dir, "nothing"), "--port", "0"], /not a directory/],
      [["--model", base, "--merge", "nobody", "--port", "0"], /--merge names "nobody"/],
    ];
    for (const [args, message] of cases) {
      const { exited, printed } = run(["serve", "--data", mkdtempSync(join(dir, "data-")), ...args]);
      expect([args, await exited]).toEqual([args, 2]);
      expect(printed.stderr).toMatch(/^mosara: [^\n]+\n$/);
      expect(printed.stderr).toMatch(message);
      expect(printed.stdout).toBe("");
    }
    taken.close();
  });
});

describe("mosara merge", () => {
  it("writes a checkpoint that answers as the adapter does", async () => {
    const file = join(dir, "one.mosara");
    writeFileSync(file, await adapterFor(base, 3));
    const out = join(dir, "merged");
    const printed = execFileSync(
      process.execPath,
      [MAIN, "merge", "--model", base, "--adapter", file, "--out", out, "--json"],
      { stdio: "pipe" },
    );
    expect(JSON.parse(printed.toString())).toMatchObject({
      generation: generationOf(readFileSync(file)),
      baseId: (await readManifest(base)).baseId,
    });
    const live = await serve();
    await fetch(`${live.url}/v1/adapters/one`, { method: "PUT", body: readFileSync(file) });
    const merged = run([
      "serve",
      "--model",
      out,
      "--port",
      "0",
      "--weights",
      "float32",
      "--cache",
      join(dir, "cache"),
      "--data",
      mkdtempSync(join(dir, "data-")),
    ]);
    await expect.poll(() => merged.printed.stdout, { timeout: 30_000 }).toContain("listening");
    const url = /http:\S+/.exec(merged.printed.stdout)?.[0] ?? "";
    // The merged weights have the checkpoint's own type: with one of 16 bits they are rounded once more.
    await using weights = await openSafetensors(join(out, "model.safetensors"));
    const isRounded = [...weights.tensors.values()].some(({ dtype }) => dtype !== "float32");
    const atol = isRounded ? 0.05 : 1e-4;
    expectAllclose(await scoresOf(url, "merged"), await scoresOf(live.url, "one"), { atol });
    expect(maxAbsDifference(await scoresOf(live.url, "tiny"), await scoresOf(live.url, "one"))).toBeGreaterThan(1e-3);
  });
});

describe("mosara inspect", () => {
  it("says what each of the four is", async () => {
    const file = join(dir, "one.mosara");
    writeFileSync(file, await adapterFor(base, 3));
    const inspect = (path: string) =>
      JSON.parse(execFileSync(process.execPath, [MAIN, "inspect", path, "--json"]).toString()) as object;
    const { baseId, parameters } = await readManifest(base);
    expect(inspect(file)).toMatchObject({
      kind: "adapter",
      method: "mo-sara",
      baseId,
      generation: generationOf(readFileSync(file)),
    });
    expect(inspect(base)).toMatchObject({ kind: "base", baseId, weights: "float32" });
    expect(inspect(checkpoint)).toMatchObject({ kind: "checkpoint", parameters });
    const peft = join(dir, "peft");
    execFileSync(process.execPath, [MAIN, "export", file, "--model", base, "--out", peft]);
    const { targets } = inspect(file) as { targets: { k: number; dIn: number; dOut: number }[] };
    expect(inspect(peft)).toMatchObject({
      kind: "peft",
      targets: targets.map(({ k, dIn, dOut }) => ({ k, dIn, dOut })),
    });
    rmSync(join(peft, "adapter_model.safetensors"));
    expect(() => inspect(peft)).toThrow(/has no adapter_model.safetensors/);
  });
});
