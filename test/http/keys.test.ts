/** Keys: which routes want one, what opens them, and where they never appear. */
import { request as httpRequest } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { createTestApp, type TestApp } from "../helpers/http-app.ts";
import { codeOf, routesOf } from "../helpers/http/routes.ts";

let test: TestApp;

afterEach(() => test[Symbol.asyncDispose]());

describe("keys", () => {
  const keys = [
    { tenant: "acme", key: "secret-1" },
    { tenant: "other", key: "secret-2" },
  ];
  const spellings = (path: string): string[] => [
    path,
    `${path}/`,
    `/${path}`,
    `${path}?x=/healthz`,
    `${path}#/healthz`,
    path.toUpperCase(),
    path.replace("/", "//"),
    path.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
    `/healthz/..${path}`,
    `/healthz%2f..${path}`,
    `${path}%00`,
    `${path};/healthz`,
    `/%2e${path}`,
  ];

  it("are wanted by every route, method and spelling but the health checks, the pages and OPTIONS", async () => {
    test = await createTestApp({ keys });
    const routes = routesOf(test.app);
    expect(routes.length).toBeGreaterThan(15);
    const methods = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "QUERY"];
    let numAsked = 0;
    for (const path of [...new Set(routes.map(([, path]) => path)), "/nowhere", "/v1"]) {
      for (const spelling of spellings(path)) {
        const url = new URL(`http://localhost${spelling}`);
        // public, spelt otherwise
        if (/^\/(healthz|livez|health|ping|readyz|docs|openapi.json|)$/.test(decodeURI(url.pathname))) continue;
        const isRoute = (await test.app.request(url, { method: "OPTIONS" })).status === 204; // which has no key to give
        for (const method of methods.filter((one) => one !== "OPTIONS" || !isRoute)) {
          const response = await test.app.request(url, { method });
          expect([method, spelling, response.status]).toEqual([method, spelling, 401]);
          numAsked += 1;
        }
      }
    }
    expect(numAsked).toBeGreaterThan(1000);
  });

  it("are wanted by paths as they come over the wire, too", async () => {
    test = await createTestApp({ keys });
    const url = new URL(await test.listen());
    const ask = (path: string) =>
      new Promise<number>((resolve, reject) => {
        httpRequest({ host: url.hostname, port: url.port, path, method: "GET" }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
          .on("error", reject)
          .end();
      });
    for (const path of [
      "//v1/models",
      "/v1/../v1/models",
      "/healthz/../v1/models",
      "/healthz/%2e%2e/v1/models",
      "/healthz//..//v1/models",
      "/./metrics",
      "/%6detrics",
      "http://elsewhere/v1/models",
    ])
      expect([path, await ask(path)]).toEqual([path, 401]);
    expect(await ask("/healthz")).toBe(200);
  });

  it("open with any of them, their name being the tenant", async () => {
    test = await createTestApp({ keys });
    const body = { model: "base", prompt: "x", max_tokens: 1 };
    for (const { tenant, key } of keys) {
      const response = await test.post("/v1/completions", body, { authorization: `Bearer ${key}` });
      expect(response.status).toBe(200);
      expect(test.engine.requests.at(-1)?.tenant).toBe(tenant);
    }
    for (const path of ["/healthz", "/livez", "/health", "/ping", "/readyz"])
      expect([path, (await test.app.request(path)).status]).toEqual([path, 200]);
  });

  it("are not opened by anything else", async () => {
    test = await createTestApp({ keys });
    for (const authorization of [
      "",
      "Bearer",
      "Bearer ",
      "Bearer secret",
      "Bearer secret-1x",
      "Bearer SECRET-1",
      "secret-1",
      "Basic secret-1",
      "Bearer secret-1, Bearer x",
      "Bearer undefined",
    ]) {
      const response = await test.app.request("/v1/models", { headers: { authorization } });
      expect([authorization, response.status]).toEqual([authorization, 401]);
      expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
      expect(await codeOf(response)).toBe("invalid_api_key");
    }
    expect((await test.app.request("/v1/models?api_key=secret-1")).status).toBe(401);
  });

  it("may be a browser's password, for reading alone", async () => {
    test = await createTestApp({ keys });
    const headers = { authorization: `Basic ${Buffer.from("anyone:secret-1").toString("base64")}` };
    const asked = await test.app.request("/v1/models", { headers: { accept: "text/html" } });
    expect([asked.status, asked.headers.get("www-authenticate")]).toEqual([
      401,
      'Basic realm="mosara", charset="UTF-8"',
    ]);
    expect((await test.app.request("/v1/models", { headers })).status).toBe(200);
    expect((await test.post("/v1/completions", { model: "base", prompt: "x" }, headers)).status).toBe(401);
  });

  it("are in no log and no answer", async () => {
    test = await createTestApp({ keys });
    const response = await test.app.request("/v1/models", { headers: { authorization: "Bearer guess-1234" } });
    expect(await response.text()).not.toContain("guess-1234");
    expect(JSON.stringify(test.context.keys)).not.toContain("secret");
    expect(test.log.join("")).not.toContain("guess");
  });
});
