/**
 * A real Chromium: pages of another origin change nothing, --cors-origin lets one call the API, a rebound name is
 * refused.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { hasProgram, startProgram } from "../helpers/outside/programs.ts";
import { readMetrics, send, startServer, tempDir, type TestServer, until } from "../helpers/server.ts";

/** Starting a server and a program on a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
const KEY = "sk-0123456789abcdef";

/** What the page of another site tries; it reports what its script got to see. */
const PAGE = `<!doctype html><title>another site</title><script>
const api = new URLSearchParams(location.search).get("api");
const body = JSON.stringify({ model: "demo", prompt: "Hello", max_tokens: 4 });
const json = { "content-type": "application/json" };
const attempt = async (name, path, init) => {
  try {
    const response = await fetch(api + path, init);
    return [name, response.type === "opaque" ? "opaque" : response.status + " " + (await response.text()).slice(0, 400)];
  } catch (error) { return [name, "blocked"]; }
};
const form = (action) => new Promise((resolve) => {
  const frame = Object.assign(document.createElement("iframe"), { name: "target", onload: resolve });
  const sent = Object.assign(document.createElement("form"), { method: "post", action, target: "target", enctype: "text/plain" });
  sent.append(Object.assign(document.createElement("input"), { name: body.slice(0, -1) + ',"user":"', value: '"}' }));
  document.body.append(frame, sent);
  sent.submit();
});
addEventListener("load", async () => {
  const seen = Object.fromEntries([
    await attempt("plain", "/v1/completions", { method: "POST", mode: "no-cors", body }),
    await attempt("text", "/v1/completions", { method: "POST", body }),
    await attempt("json", "/v1/completions", { method: "POST", headers: json, body }),
    await attempt("delete", "/v1/adapters/pirate", { method: "DELETE" }),
    await attempt("unload", "/v1/unload_lora_adapter", { method: "POST", mode: "no-cors", body: '{"lora_name":"pirate"}' }),
    await attempt("read", "/v1/models", {}),
  ]);
  await form(api + "/v1/completions");
  await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
});
</script><body></body>`;

let site: Server;
let siteUrl: string;
let seen: Record<string, string> | null = null;
beforeAll(async () => {
  site = createServer((request, response) => {
    let body = "";
    request.on("data", (data: Buffer) => (body += data.toString()));
    request.on("end", () => {
      if (request.url === "/seen") seen = JSON.parse(body) as Record<string, string>;
      response.setHeader("content-type", "text/html").end(PAGE);
    });
  });
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
  siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
});
afterAll(() => site.close());

const serve = (...args: string[]): Promise<TestServer> => {
  const root = packageRoot();
  const model = ["--model", join(root, "models", "demo"), "--served-model-name", "demo"];
  return startServer([...model, "--adapters", join(root, "adapters"), ...args]);
};

const chromium = (url: string, ...args: string[]) => {
  const dir = tempDir();
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
  return startProgram("chromium", [...flags, `--user-data-dir=${dir}`, ...args, url], dir);
};

/** What the other site's page sees of the server. */
async function visit(server: TestServer): Promise<Record<string, string>> {
  seen = null;
  await using browser = chromium(`${siteUrl}/?api=${server.url}`);
  await until(`the page to report; ${browser.output()}`, () => seen !== null);
  return seen ?? {};
}

/** The document that a page has become. */
async function documentOf(url: string, ...args: string[]): Promise<string> {
  await using browser = chromium(url, "--dump-dom", "--virtual-time-budget=5000", ...args);
  await new Promise((resolve) => browser.child.once("close", resolve));
  return browser.output();
}

describe.skipIf(!hasProgram("chromium", "a browser against the server"))("Chromium", () => {
  it("on another site's page changes nothing and reads nothing", async () => {
    await using server = await serve();
    expect(await visit(server)).toEqual({
      plain: "opaque",
      text: "blocked",
      json: "blocked",
      delete: "blocked",
      unload: "opaque",
      read: "blocked",
    });
    const metrics = await readMetrics(server.url);
    expect([...metrics].filter(([name, value]) => name.startsWith("vllm:request_success_total") && value > 0)).toEqual(
      [],
    );
    expect((await send(`${server.url}/v1/adapters/pirate`, "GET")).status).toBe(200);
  });

  it("calls the API from a page that --cors-origin names", async () => {
    await using server = await serve("--cors-origin", siteUrl);
    const { json, read, text, delete: deleted } = await visit(server);
    expect(json).toMatch(/^200 .*"object":"text_completion"/);
    expect(read).toMatch(/^200 .*"id":"demo"/);
    expect(text).toMatch(/^415 /);
    expect(deleted).toMatch(/^200 .*"deleted":true/);
  });

  it("shows the page with its box for the key on a server that has keys", async () => {
    await using server = await serve("--api-key", KEY);
    const html = await documentOf(`${server.url}/`);
    expect(html).toContain('id="key"');
    expect(html).toContain("This server requires a valid API key.");
    expect(await documentOf(`${server.url}/docs`)).toContain("/v1/chat/completions");
  });

  it("gets nothing under a name that was rebound to this machine", async () => {
    await using server = await serve();
    const url = `http://rebound.example:${new URL(server.url).port}/v1/models`;
    const html = await documentOf(url, "--host-resolver-rules=MAP rebound.example 127.0.0.1");
    expect(html).toContain("host_not_allowed");
    expect(html).not.toContain('"object":"list"');
  });
});
