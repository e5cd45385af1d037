import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SHARED } from "../../src/store/tenant.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";

let dir: string;
let test: TestApp;
const as = (key: string) => ({ authorization: `Bearer ${key}` });

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "mosara-tenants-"));
  writeFileSync(join(dir, "common.mosara"), fittingAdapter(1));
  const keys = ["acme", "globex"].map((tenant) => ({ tenant, key: `key-of-${tenant}` }));
  test = await createTestApp({ keys, adaptersDir: dir });
  for (const [i, tenant] of ["acme", "globex"].entries()) {
    const key = as(`key-of-${tenant}`);
    expect((await test.put("mine", fittingAdapter(10 + i), key)).status).toBe(201);
    expect((await test.put(`secret-of-${tenant}`, fittingAdapter(20 + i), key)).status).toBe(201);
  }
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const get = async (path: string, tenant: string) => await test.app.request(path, { headers: as(`key-of-${tenant}`) });
const send = async (method: string, path: string, tenant: string, body?: unknown) =>
  await test.app.request(path, {
    method,
    headers: { ...as(`key-of-${tenant}`), "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const idsOf = async (response: Response) =>
  ((await response.json()) as { data: { id: string }[] }).data.map(({ id }) => id);

describe("a tenant", () => {
  it("lists its own adapters and the shared ones", async () => {
    expect(await idsOf(await get("/v1/adapters", "acme"))).toEqual(["common", "mine", "secret-of-acme"]);
    expect(await idsOf(await get("/v1/models", "globex"))).toEqual(["base", "common", "mine", "secret-of-globex"]);
  });

  it("gets its own adapter for a name that another tenant has too", async () => {
    const [own, other] = await Promise.all(["acme", "globex"].map((tenant) => get("/v1/adapters/mine", tenant)));
    const generations = [await own?.json(), await other?.json()] as { generation: string; tenant: string }[];
    expect(generations.map(({ tenant }) => tenant)).toEqual(["acme", "globex"]);
    const answers = await Promise.all(
      ["acme", "globex"].map((tenant) =>
        send("POST", "/v1/completions", tenant, { model: "mine", prompt: "hi", max_tokens: 2 }),
      ),
    );
    const prints = await Promise.all(
      answers.map(async (one) => ((await one.json()) as { system_fingerprint: string }).system_fingerprint),
    );
    expect(prints.map((print) => print.slice(-8))).toEqual(generations.map(({ generation }) => generation.slice(0, 8)));
  });

  it.each([
    ["GET", "/v1/adapters/NAME"],
    ["GET", "/v1/adapters/NAME/content"],
    ["GET", "/v1/models/NAME"],
    ["GET", "/v1/models/base:NAME"],
    ["DELETE", "/v1/adapters/NAME"],
    ["POST", "/v1/adapters/NAME/placement", { placement: "live" }],
    ["POST", "/v1/unload_lora_adapter", { lora_name: "NAME" }],
    ["POST", "/v1/completions", { model: "NAME", prompt: "hi" }],
    ["POST", "/v1/completions", { model: "base", adapter: "NAME", prompt: "hi" }],
    ["POST", "/v1/completions", { model: "base", adapter: { blend: { common: 1, NAME: 1 } }, prompt: "hi" }],
    ["POST", "/v1/chat/completions", { model: "NAME", messages: [{ role: "user", content: "hi" }] }],
    ["POST", "/v1/responses", { model: "NAME", input: "hi" }],
    ["POST", "/v1/messages", { model: "NAME", max_tokens: 2, messages: [{ role: "user", content: "hi" }] }],
    ["POST", "/v1/messages/count_tokens", { model: "NAME", messages: [{ role: "user", content: "hi" }] }],
    ["POST", "/v1/embeddings", { model: "NAME", input: "hi" }],
    ["POST", "/v1/completions/render", { model: "NAME", prompt: "hi" }],
    ["POST", "/v1/chat/completions/render", { model: "NAME", messages: [{ role: "user", content: "hi" }] }],
    ["POST", "/tokenize", { model: "NAME", prompt: "hi" }],
    ["POST", "/detokenize", { model: "NAME", tokens: [1] }],
  ])(
    "gets the same answer from %s %s for another's adapter as for one that nobody has",
    async (method, path, body?: unknown) => {
      const answerFor = async (name: string) => {
        const fill = (text: string) => text.replaceAll("NAME", name);
        const filled: unknown = body === undefined ? undefined : JSON.parse(fill(JSON.stringify(body)));
        const answer = await send(method, fill(path), "acme", filled);
        const text = (await answer.text()).replaceAll(name, "NAME");
        return { status: answer.status, text: text.replace(answer.headers.get("x-request-id") ?? "none", "ID") };
      };
      const foreign = await answerFor("secret-of-globex");
      expect(foreign.status).toBe(404);
      expect(foreign).toEqual(await answerFor("secret-of-nobody"));
    },
  );

  it("may shadow a shared adapter, and cannot change it", async () => {
    for (const [method, path, body] of [
      ["DELETE", "/v1/adapters/common"],
      ["POST", "/v1/adapters/common/placement", { placement: "live" }],
      ["POST", "/v1/unload_lora_adapter", { lora_name: "common" }],
      ["POST", "/v1/load_lora_adapter", { lora_name: "new", lora_path: "common" }],
      ["PUT", "/v1/adapters/common?tenant=shared"],
    ] as const) {
      const refusal = await send(method, path, "acme", body);
      expect([path, refusal.status]).toEqual([path, 403]);
      expect(await refusal.json()).toMatchObject({
        error: { code: "insufficient_scope", message: expect.stringContaining('"admin"') },
      });
    }
    const before = test.store.namesOf(SHARED).get("common");
    const put = await test.put("common", fittingAdapter(30), as("key-of-acme"));
    expect([put.status, await put.json()]).toMatchObject([201, { tenant: "acme" }]);
    expect(test.store.namesOf(SHARED).get("common")).toEqual(before);
    const [own, shared, others] = await Promise.all([
      get("/v1/adapters/common", "acme"),
      get("/v1/adapters/common?tenant=shared", "acme"),
      get("/v1/adapters/common", "globex"),
    ]);
    expect(await own?.json()).not.toMatchObject({ generation: before?.generation });
    expect(await shared?.json()).toMatchObject({ generation: before?.generation });
    expect(await others?.json()).toMatchObject({ generation: before?.generation });
    expect((await send("DELETE", "/v1/adapters/common", "acme")).status).toBe(200);
    expect(await (await get("/v1/adapters/common", "acme")).json()).toMatchObject({ tenant: "shared" });
  });

  it("cannot name another owner", async () => {
    for (const owner of ["globex", "nobody"]) {
      const answer = await get(`/v1/adapters/mine?tenant=${owner}`, "acme");
      expect(await answer.json()).toMatchObject({ error: { code: "invalid_request", param: "tenant" } });
    }
  });

  it("sees no other tenant's name in the metrics", async () => {
    for (const tenant of ["acme", "globex"]) {
      const model = `secret-of-${tenant}`;
      expect((await send("POST", "/v1/completions", tenant, { model, prompt: "hi", max_tokens: 2 })).status).toBe(200);
    }
    const text = await (await get("/metrics", "acme")).text();
    expect(text).toContain('mosara_adapter_requests_total{adapter="secret-of-acme",tenant="acme"');
    expect(text).toContain("vllm:num_requests_running");
    expect(text).not.toContain("globex");
  });
});

describe("a server with one tenant", () => {
  it.each([[[]], [[{ tenant: "acme", key: "k" }]]])(
    "lets its caller change what came from the directory",
    async (keys) => {
      const files = mkdtempSync(join(tmpdir(), "mosara-one-tenant-"));
      writeFileSync(join(files, "common.mosara"), fittingAdapter(1));
      await using one = await createTestApp({ keys, adaptersDir: files });
      const put = await one.put("common", fittingAdapter(2), as("k"));
      expect([put.status, await put.json()]).toMatchObject([200, { tenant: "shared" }]);
      const gone = await one.app.request("/v1/adapters/common", { method: "DELETE", headers: as("k") });
      expect(gone.status).toBe(200);
      expect((await one.app.request("/v1/adapters/common", { headers: as("k") })).status).toBe(404);
      rmSync(files, { recursive: true });
    },
  );
});
