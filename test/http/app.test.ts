import { afterEach, describe, expect, it } from "vitest";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";
import { type ErrorAnswer, codeOf } from "../helpers/http/routes.ts";

let test: TestApp;

afterEach(() => test[Symbol.asyncDispose]());

describe("what is no route", () => {
  it.each([
    ["POST", "/v1/chat/completions/", "POST /v1/chat/completions"],
    ["POST", "//v1/chat/completions", "POST /v1/chat/completions"],
    ["POST", "/v1//completions", "POST /v1/completions"],
    ["POST", "/chat/completions", "POST /v1/chat/completions"],
    ["POST", "/v1/v1/completions", "POST /v1/completions"],
    ["POST", "/v1/v1//completions/", "POST /v1/completions"],
    ["POST", "/openai/v1/completions", "POST /v1/completions"],
    ["GET", "/models/acme", "GET /v1/models/acme"],
    ["GET", "/V1/models", "GET /v1/models"],
    ["GET", "/v1/healthz", "GET /healthz"],
    ["PUT", "/adapters/acme", "PUT /v1/adapters/acme"],
    ["GET", "/v1/adapters/acme/", "GET /v1/adapters/acme"],
    ["GET", "/chat/completions", "POST /v1/chat/completions"],
    ["POST", "/v1/chat/completion", "POST /v1/chat/completions"],
    ["POST", "/v1/embedding", "POST /v1/embeddings"],
  ])("is reported as %s %s with the near miss %s", async (method, path, meant) => {
    test = await createTestApp();
    const response = await test.app.request(`http://localhost${path}`, { method });
    const { error } = (await response.json()) as ErrorAnswer;
    expect([response.status, error.code]).toEqual([404, "not_found"]);
    expect(error.message).toContain(`There is no route ${method} ${path}. Did you mean ${meant}?`);
  });

  it("is reported without a near miss where there is none", async () => {
    test = await createTestApp();
    const response = await test.app.request("/v2/everything", { method: "POST" });
    expect(((await response.json()) as ErrorAnswer).error.message).toBe(
      "There is no route POST /v2/everything. GET /docs lists all routes.",
    );
  });

  it("answers 404 not_found, also for other spellings of a route", async () => {
    test = await createTestApp();
    for (const path of [
      "/nowhere",
      "/v1",
      "/V1/models",
      "/v1/models/",
      "//v1/models",
      "/v1//models",
      "/healthz/",
      "/v1/completions/x",
    ]) {
      const response = await test.app.request(`http://localhost${path}`);
      expect([path, response.status, await codeOf(response)]).toEqual([path, 404, "not_found"]);
    }
  });

  it("answers 405 with Allow for another method of a route", async () => {
    test = await createTestApp();
    const cases: [string, string, string][] = [
      ["GET", "/v1/completions", "POST"],
      ["DELETE", "/v1/models", "GET, HEAD"],
      ["PATCH", "/v1/adapters/acme", "GET, PUT, DELETE, HEAD"],
      ["POST", "/healthz", "GET, HEAD"],
    ];
    for (const [method, path, allow] of cases) {
      const response = await test.app.request(path, { method });
      expect([method, path, response.status, response.headers.get("allow")]).toEqual([method, path, 405, allow]);
      expect(await codeOf(response)).toBe("method_not_allowed");
    }
    const options = await test.app.request("/v1/adapters/acme", { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, "GET, PUT, DELETE, HEAD, OPTIONS"]);
    const head = await test.app.request("/v1/models", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});

describe("x-request-id", () => {
  it("is on every response: the caller's if it is sane, else a new one", async () => {
    test = await createTestApp();
    const idFor = async (given: string | undefined, path = "/healthz") => {
      const response = await test.app.request(path, given === undefined ? {} : { headers: { "x-request-id": given } });
      await response.text();
      return response.headers.get("x-request-id") ?? "";
    };
    expect(await idFor("my-id.1:2")).toBe("my-id.1:2");
    for (const path of ["/v1/models", "/nowhere", "/metrics", "/openapi.json", "/", "/v1/completions"])
      expect(await idFor("abc", path)).toBe("abc");
    for (const insane of ["", "a b", "x".repeat(200), "<script>", undefined])
      expect(await idFor(insane)).toMatch(/^[0-9a-f-]{36}$/);
    const stream = await test.post(
      "/v1/completions",
      { model: "base", prompt: "x", stream: true },
      { "x-request-id": "s" },
    );
    await stream.text();
    expect(stream.headers.get("x-request-id")).toBe("s");
  });
});

describe("bodies", () => {
  it("that are no JSON object are answered with what is wrong", async () => {
    test = await createTestApp();
    for (const body of ["", "{", "[]", "null", '"x"', "1", '{"model":}', "\ufeff\ufeff{}"]) {
      const response = await test.post("/v1/completions", body);
      expect([body, response.status, await codeOf(response)]).toEqual([body, 400, "invalid_request"]);
    }
    const invalidUtf8 = await test.app.request("/v1/completions", {
      method: "POST",
      body: Uint8Array.of(0x22, 0xff, 0x22),
    });
    expect(invalidUtf8.status).toBe(400);
    const zipped = await test.post("/v1/completions", "{}", { "content-encoding": "gzip" });
    expect(zipped.status).toBe(400);
  });

  it("need no content type", async () => {
    test = await createTestApp();
    const response = await test.app.request("/v1/completions", {
      method: "POST",
      body: '{"model":"base","prompt":"x"}',
    });
    expect(response.status).toBe(200);
  });

  it("longer than the limit are refused, whatever Content-Length says", async () => {
    test = await createTestApp({ maxJsonBytes: 1000 });
    const body = JSON.stringify({ model: "base", prompt: "x".repeat(1000) });
    for (const path of ["/v1/completions", "/v1/chat/completions"]) {
      const response = await test.post(path, body);
      expect([response.status, await codeOf(response)]).toEqual([413, "request_too_large"]);
    }
    const chunked = new ReadableStream({ pull: (controller) => controller.enqueue(new TextEncoder().encode("[")) });
    const response = await test.app.request("/v1/completions", {
      method: "POST",
      body: chunked,
      duplex: "half",
    } as RequestInit);
    expect(response.status).toBe(413);
  });

  it("nested a hundred thousand deep or full of odd keys do no harm", async () => {
    test = await createTestApp();
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    for (const body of [
      deep,
      `{"model":"base","prompt":${deep}}`,
      `{"model":"base","prompt":"x","__proto__":{"stream":true}}`,
      '{"model":"base","prompt":"x","constructor":1,"toString":2}',
    ]) {
      const response = await test.post("/v1/completions", body);
      expect(response.status).toBeLessThan(500);
      await response.text();
    }
  });
});

describe("failures that nobody can act on", () => {
  it("tell no detail, and the log has it under the request's id", async () => {
    test = await createTestApp();
    Object.assign(test.engine, {
      submit: () => {
        throw new Error("internal: secret detail at /some/path");
      },
    });
    const response = await test.post("/v1/completions", { model: "base", prompt: "x" }, { "x-request-id": "find-me" });
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(text).not.toContain("secret detail");
    expect(JSON.parse(text)).toMatchObject({ error: { code: "internal_error", type: "server_error", param: null } });
    const line = test.log.find((entry) => entry.includes("find-me"));
    expect(line).toContain("secret detail");
  });
});

describe("operations", () => {
  it("are alive, ready or not, and say what runs", async () => {
    test = await createTestApp();
    expect((await test.app.request("/healthz")).status).toBe(200);
    expect((await test.app.request("/readyz")).status).toBe(200);
    test.engine.kill();
    const response = await test.app.request("/readyz");
    expect([response.status, await response.json()]).toEqual([
      503,
      { status: "unavailable", device: "cpu", reason: "the engine is being restarted" },
    ]);
    for (const path of ["/healthz", "/livez", "/health", "/ping"])
      expect([path, (await test.app.request(path)).status]).toEqual([path, 200]);
    expect((await test.app.request("/", { method: "OPTIONS" })).status).toBe(503);
    const asked = await test.post("/v1/completions", { model: "base", prompt: "x" });
    expect([asked.status, asked.headers.get("retry-after"), await codeOf(asked)]).toEqual([
      503,
      "2",
      "engine_unavailable",
    ]);
    const version = await (await test.app.request("/version")).json();
    expect(version).toEqual({
      version: "1.2.3",
      baseId: test.context.base.signature.baseId,
      device: "cpu",
      attention: "fused",
      precision: "float32",
      kvCacheDtype: "float32",
      cacheResident: true,
      batchInvariant: true,
      weights: "float32",
    });
  });

  it("refuse new work while stopping, and finish what runs", async () => {
    test = await createTestApp({ stepMs: 5 });
    const running = await test.post("/v1/completions", { model: "base", prompt: "x", max_tokens: 30, stream: true });
    const drained = test.context.inFlight.drain(10_000);
    const refused = await test.post("/v1/completions", { model: "base", prompt: "x" });
    expect([refused.status, await codeOf(refused)]).toEqual([503, "overloaded"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await test.app.request("/readyz")).status).toBe(503);
    expect((await test.app.request("/healthz")).status).toBe(200);
    expect((await test.app.request("/metrics")).status).toBe(200);
    expect(await running.text()).toMatch(/\[DONE\]\n\n$/);
    expect(await drained).toBe(true);
  });

  it("give up waiting at the timeout", async () => {
    test = await createTestApp({ stepMs: 50 });
    const running = await test.post("/v1/completions", { model: "base", prompt: "x", max_tokens: 30, stream: true });
    expect(await test.context.inFlight.drain(60)).toBe(false);
    test.engine.kill();
    expect(await running.text()).toContain("engine_unavailable");
  });
});

describe("the pages", () => {
  it("are HTML that loads nothing from elsewhere", async () => {
    test = await createTestApp();
    for (const path of ["/", "/docs"]) {
      const response = await test.app.request(path);
      const html = await response.text();
      expect(response.headers.get("content-type")).toMatch(/^text\/html/);
      const policy = response.headers.get("content-security-policy");
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toContain("unsafe");
      expect(html).not.toMatch(/(src|href)=["']?(https?:)?\/\//);
      expect(html).not.toMatch(/<style|<script(?![^>]* src=)|\sstyle=|\son\w+=/);
    }
  });

  it("load files that name their type and are not sent again while they are the same", async () => {
    test = await createTestApp();
    const html = await (await test.app.request("/")).text();
    const files = [...html.matchAll(/(?:src|href)="(web\/[^"]+)"/g)].map(([, file]) => `/${file}`);
    expect(files.length).toBeGreaterThan(3);
    const types: Record<string, string> = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
    for (const file of files) {
      const response = await test.app.request(file);
      const type = response.headers.get("content-type") ?? "";
      expect([file, response.status, type.split(";")[0]]).toEqual([file, 200, types[file.split(".").at(-1) ?? ""]]);
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      const headers = { "if-none-match": response.headers.get("etag") ?? "" };
      expect((await test.app.request(file, { headers })).status).toBe(304);
    }
    for (const file of ["/web/nothing.js", "/web/tsconfig.json", "/web/../open-api.ts", "/web/%2e%2e/open-api.ts"])
      expect([file, (await test.app.request(file)).status]).toEqual([file, 404]);
  });
});

describe("a long prompt", () => {
  it("of an adapter and the base side by side changes neither", async () => {
    test = await createTestApp();
    await test.put("acme", fittingAdapter(1));
    const ask = async (model: string) =>
      await (await test.post("/v1/completions", { model, prompt: "x".repeat(400), temperature: 0 })).json();
    const alone = [await ask("base"), await ask("acme")] as { choices: object }[];
    const together = (await Promise.all([ask("base"), ask("acme"), ask("base")])) as { choices: object }[];
    expect(together.map(({ choices }) => choices)).toEqual([alone[0]?.choices, alone[1]?.choices, alone[0]?.choices]);
  });
});
