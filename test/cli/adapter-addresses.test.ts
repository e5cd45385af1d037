/** Adapters at addresses, as `lora_path` names them, from a web server and from a server with the Hub's routes. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { openAdapterAddresses } from "../../src/cli/serve/adapter-addresses.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";
import { type FakeHub, startHub } from "../helpers/outside/hub-server.ts";
import { converterFor, writePeftDirectory } from "../helpers/models/peft.ts";
import { tempDir } from "../helpers/server.ts";

const lora = madeUpAdapter({ method: "lora" });
const convert = converterFor(lora);
let hub: FakeHub;
let web: Server;
let app: TestApp;
let origin: string;
const asked: string[] = [];

beforeAll(async () => {
  const dir = tempDir();
  await writePeftDirectory(dir, lora);
  const files = new Map(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name))]));
  hub = await startHub();
  hub.repositories.set("acme/support", {
    files,
    large: new Set(["adapter_model.safetensors"]),
    commit: "a".repeat(40),
  });
  hub.repositories.set("other/support", { files, large: new Set(), commit: "b".repeat(40) });
  vi.stubEnv("HF_ENDPOINT", hub.url);
  vi.stubEnv("HF_HUB_CACHE", tempDir());
  web = createServer(({ url = "" }, response) => {
    asked.push(url);
    if (url === "/adapters/away.mosara") return void response.writeHead(302, { location: "/secret.mosara" }).end();
    const bytes = url.endsWith(".mosara") ? fittingAdapter(1) : files.get(url.replace("/adapters/peft/", ""));
    if (bytes) response.end(bytes);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  const allowed = [`${origin}/adapters`, "hf://acme"];
  const convertPeft = async (found: Parameters<typeof convert>[0]) => await convert(found);
  const addresses = openAdapterAddresses({ allowed, maxAdapterBytes: 2 ** 20, timeoutMs: 20_000, convertPeft });
  app = await createTestApp({ addresses });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await app[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
  web.close();
});

const load = async (name: string, path: string) => {
  const answer = await app.post("/v1/load_lora_adapter", { lora_name: name, lora_path: path });
  const text = await answer.text();
  return answer.ok ? text : (JSON.parse(text) as { error: { code: string } }).error.code;
};
const methodOf = async (name: string) =>
  ((await (await app.app.request(`/v1/adapters/${name}`)).json()) as { method?: string }).method;

/** A request of a route of another server, with its answer. */
const send = async (method: string, path: string, body?: object): Promise<{ status: number; json: unknown }> => {
  const init = { method, headers: { "content-type": "application/json" } };
  const answer = await app.app.request(path, body === undefined ? init : { ...init, body: JSON.stringify(body) });
  return { status: answer.status, json: await answer.json() };
};

describe("an adapter at an address", () => {
  it("is a file or a PEFT directory of a web server, or a repository of the Hub", async () => {
    for (const [name, path, method] of [
      ["file", `${origin}/adapters/a/b.mosara`, "mo-sara"],
      ["directory", `${origin}/adapters/peft/`, "lora"],
      ["repository", "hf://acme/support", "lora"],
    ] as const) {
      expect(await load(name, path)).toBe(`Success: LoRA adapter '${name}' added successfully.`);
      expect(await methodOf(name)).toBe(method);
      expect(await load(name, path)).toContain("is loaded already");
    }
  });

  it("is not read where the operator allows none, in whatever spelling", async () => {
    asked.length = 0;
    for (const path of [
      `${origin}/secret.mosara`,
      `${origin}/adapters/../secret.mosara`,
      `${origin}/adapters/%2e%2e/secret.mosara`,
      `${origin}/adapters-of-others/a.mosara`,
      `${origin}/adapters/a.mosara?x=1`,
      `${origin.replace("//", "//user@")}/adapters/a.mosara`,
      "http://169.254.169.254/latest/a.mosara",
      "file:///etc/passwd",
      "hf://other/support",
      "hf://acme-of-others/support",
      "s3://bucket/a.mosara",
    ])
      expect([path, await load("no", path)]).toEqual([path, "invalid_request"]);
    expect(asked).toEqual([]);
    expect(await load("no", `${origin}/adapters/away.mosara`)).toBe("store_unavailable");
    expect(asked).not.toContain("/secret.mosara");
    expect(await load("no", `${origin}/adapters/none/`)).toBe("adapter_not_found");
    expect(await methodOf("no")).toBeUndefined();
  });

  it("is loaded, and unloaded, in SGLang's words", async () => {
    const body = { lora_name: "sglang", lora_path: "hf://acme/support", pinned: true };
    const loaded = { success: true, error_message: "", loaded_adapters: { sglang: "hf://acme/support" } };
    for (let times = 0; times < 2; times++)
      expect(await send("POST", "/load_lora_adapter", body)).toEqual({ status: 200, json: loaded });
    expect(await methodOf("sglang")).toBe("lora");
    const other = { ...body, lora_path: `${origin}/adapters/a.mosara` };
    const refused = await send("POST", "/load_lora_adapter", other);
    expect(refused).toMatchObject({ status: 400, json: { success: false, error: { code: "invalid_request" } } });
    const { error, error_message: message } = refused.json as { error: { message: string }; error_message: string };
    expect(message).toBe(error.message);
    const unload = { lora_name: "sglang" };
    const gone = { success: true, error_message: "", loaded_adapters: {} };
    expect(await send("POST", "/unload_lora_adapter", unload)).toEqual({ status: 200, json: gone });
    expect(await send("POST", "/unload_lora_adapter", unload)).toMatchObject({ status: 404, json: { success: false } });
  });

  it("is loaded, replaced, listed and unloaded in Dynamo's words", async () => {
    const source = (uri: string) => ({ lora_name: "dynamo", source: { uri } });
    const answers = [];
    for (const uri of ["hf://acme/support", `${origin}/adapters/a.mosara`, `${origin}/adapters/b.mosara`])
      answers.push(await send("POST", "/v1/loras", source(uri)));
    const changed = (message: string) => ({
      status: 200,
      json: { status: "success", message, lora_name: "dynamo", lora_id: expect.any(Number) },
    });
    const words = ["loaded successfully", "hot-swapped successfully", "already loaded"];
    expect(answers).toEqual(words.map((one) => changed(`LoRA adapter 'dynamo' ${one}`)));
    expect(await methodOf("dynamo")).toBe("mo-sara");
    const { loras, count } = (await send("GET", "/v1/loras")).json as { loras: Record<string, number>; count: number };
    expect(Object.keys(loras)).toHaveLength(count);
    expect(answers[0]).toMatchObject({ json: { lora_id: loras.dynamo } });
    for (const uri of ["hf://other/support", "file:///etc/passwd"])
      expect(await send("POST", "/v1/loras", source(uri))).toMatchObject({
        status: 400,
        json: { status: "error", message: expect.any(String), error: { param: "source.uri" } },
      });
    const unloaded = await send("DELETE", "/v1/loras/dynamo");
    expect(unloaded).toEqual(changed("LoRA adapter 'dynamo' unloaded successfully"));
    expect(await send("DELETE", "/v1/loras/dynamo")).toMatchObject({ status: 404, json: { status: "error" } });
    expect(await methodOf("dynamo")).toBeUndefined();
  });
});
