/**
 * Pages of other sites: what a browser sends for them is refused, what --cors-origin and --allowed-host name is let
 * through.
 */
import { afterEach, describe, expect, it } from "vitest";
import { accessPolicyOf } from "../../../src/http/access-policy.ts";
import { createTestApp, fittingAdapter, type TestApp, type TestAppOptions } from "../../helpers/http-app.ts";

let test: TestApp;
afterEach(() => test[Symbol.asyncDispose]());

const OPTIONS = { host: "127.0.0.1", allowedHost: [], corsOrigin: [], publicMetrics: false };
const access = (options: Partial<Parameters<typeof accessPolicyOf>[0]> = {}): TestAppOptions => ({
  access: accessPolicyOf({ ...OPTIONS, ...options }),
});
const COMPLETION = JSON.stringify({ model: "base", prompt: "x", max_tokens: 2 });
const ask = async (method: string, path: string, headers: Record<string, string>, body?: string) => {
  const response = await test.app.request(path, { method, headers, ...(body === undefined ? {} : { body }) });
  const text = await response.text();
  const code = /"code":"(\w+)"/.exec(text)?.[1];
  return {
    result: code === undefined ? `${response.status}` : `${response.status} ${code}`,
    headers: response.headers,
  };
};
const complete = async (headers: Record<string, string>) =>
  (await ask("POST", "/v1/completions", headers, COMPLETION)).result;
const JSON_TYPE = { "content-type": "application/json" };

describe("a page of another origin", () => {
  it("changes nothing, whatever it sends", async () => {
    test = await createTestApp(access());
    const types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json", ""];
    const origins = ["https://evil.example", "http://127.0.0.1:9999", "null", "http://127.0.0.1:8080.evil.example"];
    for (const origin of origins)
      for (const type of types) {
        const headers = { host: "127.0.0.1:8080", origin, "content-type": type };
        expect([origin, type, await complete(headers)]).toEqual([origin, type, "403 origin_not_allowed"]);
      }
    for (const [method, path] of [
      ["PUT", "/v1/adapters/acme"],
      ["DELETE", "/v1/adapters/acme"],
      ["POST", "/v1/adapters/acme/placement"],
      ["POST", "/v1/load_lora_adapter"],
      ["POST", "/v1/unload_lora_adapter"],
      ["POST", "/nowhere"],
    ] as const)
      expect([path, (await ask(method, path, { origin: "https://evil.example", ...JSON_TYPE }, "{}")).result]).toEqual([
        path,
        "403 origin_not_allowed",
      ]);
    expect(test.engine.requests).toEqual([]);
    expect(test.store.count()).toBe(0);
  });

  it("is known by Sec-Fetch-Site where a browser leaves its origin out", async () => {
    test = await createTestApp(access());
    for (const site of ["cross-site", "same-site"])
      expect(await complete({ "sec-fetch-site": site, ...JSON_TYPE })).toBe("403 origin_not_allowed");
    for (const site of ["same-origin", "none"])
      expect(await complete({ "sec-fetch-site": site, ...JSON_TYPE })).toBe("200");
  });

  it("gets no answer that its script could read, and no preflight", async () => {
    test = await createTestApp(access());
    const origin = "https://evil.example";
    const read = await ask("GET", "/v1/models", { origin });
    expect([read.result, read.headers.get("access-control-allow-origin")]).toEqual(["200", null]);
    const preflight = await ask("OPTIONS", "/v1/completions", { origin, "access-control-request-method": "POST" });
    expect(preflight.result).toBe("403 origin_not_allowed");
    expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
  });
});

describe("the server's own page", () => {
  const own = { host: "127.0.0.1:8080", origin: "http://127.0.0.1:8080", "sec-fetch-site": "same-origin" };

  it("may do everything, with types that no form can send", async () => {
    test = await createTestApp(access());
    expect(await complete({ ...own, ...JSON_TYPE })).toBe("200");
    expect(await complete({ ...own, "content-type": "application/json; charset=utf-8" })).toBe("200");
    const put = await test.put("acme", fittingAdapter(1), { ...own, "content-type": "application/octet-stream" });
    expect(put.status).toBe(201);
    expect((await ask("DELETE", "/v1/adapters/acme", own)).result).toBe("200");
    for (const type of [
      "text/plain;charset=UTF-8",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
    ])
      expect([type, await complete({ ...own, "content-type": type, "content-length": "9" })]).toEqual([
        type,
        "415 unsupported_media_type",
      ]);
  });

  it("is known behind a proxy that ends TLS, and on the default port", async () => {
    test = await createTestApp(access({ host: "0.0.0.0" }));
    for (const [host, origin] of [
      ["llm.example", "https://llm.example"],
      ["llm.example:443", "https://llm.example"],
      ["LLM.example", "https://llm.example"],
      ["[::1]:8080", "http://[::1]:8080"],
    ] as const)
      expect([host, await complete({ host, origin, ...JSON_TYPE })]).toEqual([host, "200"]);
  });
});

describe("what is no browser", () => {
  it("needs no type and no origin", async () => {
    test = await createTestApp(access());
    for (const type of ["application/x-www-form-urlencoded", "text/plain", "application/json", "anything/else"])
      expect([type, await complete({ host: "localhost:8080", "content-type": type })]).toEqual([type, "200"]);
  });
});

describe("--cors-origin", () => {
  const origin = "https://app.example:8443";

  it("lets the pages it names call the API, with whatever headers their client sends", async () => {
    test = await createTestApp(access({ corsOrigin: [origin] }));
    const preflight = await ask("OPTIONS", "/v1/chat/completions", {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,x-stainless-os",
      "access-control-request-private-network": "true",
    });
    expect(preflight.result).toBe("204");
    expect(Object.fromEntries(preflight.headers)).toMatchObject({
      "access-control-allow-origin": origin,
      "access-control-allow-headers": "authorization,content-type,x-stainless-os",
      "access-control-allow-methods": expect.stringContaining("PUT"),
      "access-control-allow-private-network": "true",
      vary: "origin",
    });
    for (const [body, status] of [
      [COMPLETION, "200"],
      [COMPLETION.replace("}", ',"stream":true}'), "200"],
      ["{}", "400 invalid_request"],
    ] as const) {
      const answer = await ask("POST", "/v1/completions", { origin, ...JSON_TYPE }, body);
      expect([body, answer.result]).toEqual([body, status]);
      expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
      expect(answer.headers.get("access-control-expose-headers")).toContain("x-request-id");
    }
    expect(await complete({ origin: "https://app.example", ...JSON_TYPE })).toBe("403 origin_not_allowed");
    expect(await complete({ origin: "http://app.example:8443", ...JSON_TYPE })).toBe("403 origin_not_allowed");
  });

  it("* lets every page call", async () => {
    test = await createTestApp(access({ corsOrigin: ["*"] }));
    for (const any of ["https://a.example", "null"]) {
      const answer = await ask("POST", "/v1/completions", { origin: any, ...JSON_TYPE }, COMPLETION);
      expect([answer.result, answer.headers.get("access-control-allow-origin")]).toEqual(["200", any]);
    }
  });

  it("needs keys where there are some, but not for preflights; a missing key can be read by the page", async () => {
    test = await createTestApp({ ...access({ corsOrigin: [origin] }), keys: [{ tenant: "acme", key: "k" }] });
    const preflight = { origin, "access-control-request-method": "POST" };
    expect((await ask("OPTIONS", "/v1/completions", preflight)).result).toBe("204");
    const refused = await ask("POST", "/v1/completions", { origin, ...JSON_TYPE }, COMPLETION);
    expect([refused.result, refused.headers.get("access-control-allow-origin")]).toEqual([
      "401 invalid_api_key",
      origin,
    ]);
    expect(await complete({ origin, authorization: "Bearer k", ...JSON_TYPE })).toBe("200");
  });
});

describe("the Host header", () => {
  const read = async (host: string | undefined) =>
    (await ask("GET", "/v1/models", host === undefined ? {} : { host })).result;

  it("on a loopback address names this machine, or the request is refused", async () => {
    test = await createTestApp(access());
    const own = ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:1", "127.0.0.2", "[::1]:8080", "x.localhost"];
    for (const host of [...own, "localhost.", undefined]) expect([host, await read(host)]).toEqual([host, "200"]);
    const foreign = ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1", ""];
    for (const host of foreign) expect([host, await read(host)]).toEqual([host, "403 host_not_allowed"]);
    expect((await ask("POST", "/v1/completions", { host: "evil.example", ...JSON_TYPE }, COMPLETION)).result).toBe(
      "403 host_not_allowed",
    );
  });

  it("may be one that --allowed-host names, which also closes other addresses to other names", async () => {
    test = await createTestApp(access({ host: "0.0.0.0", allowedHost: ["llm.example"] }));
    for (const host of ["llm.example", "LLM.example:8080", "localhost"])
      expect([host, await read(host)]).toEqual([host, "200"]);
    expect(await read("other.example")).toBe("403 host_not_allowed");
  });

  it("is any on an address that others reach", async () => {
    test = await createTestApp(access({ host: "0.0.0.0" }));
    expect(await read("anything.example")).toBe("200");
  });
});

describe("without a key, on a server that has some", () => {
  const keys = [{ tenant: "acme", key: "k" }];

  it("the pages and what they load are served, so that a key can be typed in", async () => {
    test = await createTestApp({ ...access(), keys });
    for (const path of ["/", "/docs", "/openapi.json", "/web/app/main.js", "/web/base.css"])
      expect([path, (await ask("GET", path, {})).result]).toEqual([path, "200"]);
    for (const path of ["/metrics", "/version", "/v1/models", "/v1/adapters", "/web/nothing.js"])
      expect([path, (await ask("GET", path, {})).result]).toEqual([path, "401 invalid_api_key"]);
  });

  it("metrics are served with --public-metrics", async () => {
    test = await createTestApp({ ...access({ publicMetrics: true }), keys });
    expect((await ask("GET", "/metrics", {})).result).toBe("200");
    expect((await ask("GET", "/version", {})).result).toBe("401 invalid_api_key");
  });
});
