/** Traces of a real server, into which an operator has loaded OpenTelemetry's SDK. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { send, startServer, tempDir, type TestServer, until } from "../helpers/server.ts";

const SDK = fileURLToPath(new URL("../helpers/outside/traces-to-file.mjs", import.meta.url));
const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID = "b7ad6b7169203331";
const SERVER_KIND = 1;

interface Span {
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code: number };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId?: string;
  readonly start: number;
  readonly end: number;
}

const path = join(tempDir(), "spans.jsonl");
const ENV = { NODE_OPTIONS: `--import ${pathToFileURL(SDK).href}`, SPANS_FILE: path };
let server: TestServer;
beforeAll(async () => {
  const [model, adapters] = [join(packageRoot(), "models", "demo"), join(packageRoot(), "adapters")];
  server = await startServer(["--model", model, "--adapters", adapters, "--served-model-name", "demo"], { env: ENV });
});
afterAll(() => server[Symbol.asyncDispose]());

/** The spans of one trace, when its request's own span has ended, which is the last. */
async function spansOf(traceId: string): Promise<Span[]> {
  const read = () =>
    (existsSync(path) ? readFileSync(path, "utf8") : "")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Span)
      .filter((span) => span.traceId === traceId);
  return await until("the request's span", read, (spans) => spans.some(({ kind }) => kind === SERVER_KIND));
}

const ask = (body: object, traceId: string, url = server.url) =>
  send(`${url}/v1/completions`, "POST", body, {
    headers: { "content-type": "application/json", traceparent: `00-${traceId}-${PARENT_ID}-01` },
  });

it("has a span of the request below the caller's, and one for each of its parts, one after the other", async () => {
  const { headers } = await ask({ model: "pirate", prompt: "Hello", max_tokens: 5, stream: true }, TRACE_ID);
  const spans = await spansOf(TRACE_ID);
  const root = spans.at(-1)!; // spansOf has found it
  expect(root).toMatchObject({
    name: "POST /v1/completions",
    parentId: PARENT_ID,
    attributes: {
      "http.request.method": "POST",
      "http.route": "/v1/completions",
      "http.response.status_code": 200,
      "mosara.adapter": "pirate",
      "mosara.request_id": headers.get("x-request-id"),
      "gen_ai.usage.output_tokens": 5,
      "gen_ai.response.finish_reasons": ["length"],
    },
  });
  const parts = spans.slice(0, -1);
  expect(parts.every(({ parentId }) => parentId === root.spanId)).toBe(true);
  const [queue, prefill, decode] = parts.filter(({ name }) => name !== "load adapter") as [Span, Span, Span];
  expect([queue, prefill, decode].map(({ name }) => name)).toEqual(["queue", "prefill", "decode"]);
  // A load that is quicker than the request's way to the engine is no wait.
  const load = parts.find(({ name }) => name === "load adapter");
  expect(queue.attributes).toEqual({ "mosara.adapter.hit": load === undefined });
  expect(load?.attributes ?? null).toEqual(load ? { "mosara.adapter.source": "store" } : null);
  // Times are whole ms.
  expect([load?.end ?? queue.end, prefill.start, decode.start]).toEqual([queue.end, queue.end, prefill.end]);
  expect(load?.start ?? queue.start).toBeGreaterThanOrEqual(queue.start - 1);
  expect(queue.start).toBeGreaterThanOrEqual(root.start - 2);
  expect(decode.end).toBeLessThanOrEqual(root.end + 2);
});

it("says of an adapter that was ready that it was, and of an error what it was", async () => {
  const [again, wrong] = [TRACE_ID.replace("0af", "1af"), TRACE_ID.replace("0af", "2af")];
  await ask({ model: "pirate", prompt: "Hello", max_tokens: 5 }, again);
  const parts = (await spansOf(again)).slice(0, -1);
  expect(parts.map(({ name }) => name)).toEqual(["queue", "prefill", "decode"]);
  expect(parts[0]?.attributes).toEqual({ "mosara.adapter.hit": true });
  await ask({ model: "nobody", prompt: "Hello" }, wrong);
  const spans = await spansOf(wrong);
  expect(spans).toHaveLength(1);
  expect(spans[0]).toMatchObject({
    status: { code: 0 }, // the caller's error is none of the server's
    attributes: { "http.response.status_code": 404, "error.type": "model_not_found" },
  });
});

it("has a span of the lookup in a shared store, before those of the engine", async () => {
  const model = join(packageRoot(), "models", "demo");
  const flags = ["--model", model, "--served-model-name", "demo", "--store", tempDir()];
  await using shared = await startServer(flags, { env: ENV });
  const put = await send(
    `${shared.url}/v1/adapters/pirate`,
    "PUT",
    readFileSync(join(packageRoot(), "adapters", "pirate.mosara")),
  );
  expect(put.status).toBe(201);
  const traceId = TRACE_ID.replace("0af", "4af");
  await ask({ model: "pirate", prompt: "Hello", max_tokens: 1 }, traceId, shared.url);
  const spans = await spansOf(traceId);
  const [lookup, queue] = ["look up adapter", "queue"].map((wanted) => spans.find(({ name }) => name === wanted));
  expect(lookup?.parentId).toBe(spans.at(-1)?.spanId);
  expect(lookup!.start).toBeGreaterThanOrEqual(spans.at(-1)!.start - 2); // whole ms
  expect(lookup!.end).toBeLessThanOrEqual(queue!.start + 2);
});

it("has no span of probes", async () => {
  await send(`${server.url}/healthz`, "GET");
  await ask({ model: "demo", prompt: "x", max_tokens: 1 }, TRACE_ID.replace("0af", "3af"));
  await spansOf(TRACE_ID.replace("0af", "3af"));
  expect(readFileSync(path, "utf8")).not.toContain("/healthz");
});
