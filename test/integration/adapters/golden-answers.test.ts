/**
 * Golden answers from the trainer to the server: the trained file passes, and altered ones fail. On the demo.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { decodeAdapter, encodeAdapter, generationOf } from "../../../src/adapter/adapter-file.ts";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import { type GoldenAnswer, goldenAnswers } from "../../../src/adapter/golden.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import { codeOf, complete, mosara, send, startServer, tempDir, type TestServer } from "../../helpers/server.ts";

interface Verified {
  readonly verification?: {
    readonly status: string;
    readonly golden: number;
    readonly expected: number;
    readonly found: number;
    readonly base: number;
    readonly problems: readonly string[];
  };
  readonly error?: { readonly message: string };
}

const dir = tempDir();
const out = join(dir, "pirate.mosara");
let trained: Adapter;
let golden: readonly GoldenAnswer[];
let server: TestServer;

beforeAll(async () => {
  const lines = [1, 2, 3, 4, 5].map((i) => ({ prompt: `Question ${i}:`, completion: ` The answer is ${i}, matey.` }));
  writeFileSync(join(dir, "data.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const settings = ["--steps", "4", "--batch-size", "2", "--threads", "1", "--golden", "3"];
  const model = join(packageRoot(), "models", "demo");
  const { code, stderr } = await mosara(
    "train",
    "--model",
    model,
    "--data",
    join(dir, "data.jsonl"),
    "--out",
    out,
    ...settings,
  );
  expect(code, stderr).toBe(0);
  trained = decodeAdapter(readFileSync(out));
  golden = goldenAnswers(trained.card) ?? [];
  server = await startServer(["--verify-uploads", "strict"]);
});
afterAll(() => server[Symbol.asyncDispose]());

const put = (name: string, bytes: Uint8Array, query = "") =>
  send<Verified>(`${server.url}/v1/adapters/${name}${query}`, "PUT", bytes);
const withCard = (answers: readonly object[]): Uint8Array =>
  encodeAdapter({ ...trained, card: { ...trained.card, golden: answers.map((one) => ({ ...one })) } });

it("passes the file as the trainer wrote it", async () => {
  expect(golden).toHaveLength(3);
  const { status, json } = await put("good", readFileSync(out));
  expect([status, json.verification?.status, json.verification?.golden]).toEqual([201, "passed", 3]);
  const { expected = 0, found = 0, base = 0 } = json.verification ?? {};
  expect(Math.abs(found - expected)).toBeLessThan(1e-3); // two graphs, of which one is trained
  expect(found).toBeGreaterThan(base + 0.1);
  // The server's own scores of the same tokens.
  const scores = golden.map(async ({ ids, from }) => {
    const body = { model: "good", prompt: ids, max_tokens: 0, echo: true, logprobs: 0 };
    const { token_logprobs: all = [] } = (await complete(server.url, body)).json.choices[0]?.logprobs ?? {};
    return all.slice(from);
  });
  const all = (await Promise.all(scores)).flat();
  expect(found).toBeCloseTo(all.reduce((sum, value) => sum + value, 0) / all.length, 12);
});

it("refuses in strict, and stores with report, what does not answer as its card says", async () => {
  const bytes = withCard(golden.map((one) => ({ ...one, logprob: one.logprob - 3 })));
  const refused = await put("other", bytes);
  expect(codeOf(refused)).toBe("400 verification_failed");
  expect(refused.json.error?.message).toContain("does not answer as its card says");
  expect((await send(`${server.url}/v1/adapters/other`, "GET")).status).toBe(404);
  const reported = await put("other", bytes, "?verify=report");
  expect([reported.status, reported.json.verification?.status]).toEqual([201, "failed"]);
});

it("refuses an adapter that changes nothing, and golden answers that it cannot read", async () => {
  const targets = trained.targets.map((target) => {
    const { v, ...rest } = target.tensors;
    if (v === undefined) throw new Error("no v");
    return { ...target, tensors: { ...rest, v: { ...v, data: new Float32Array(v.data.length) } } };
  });
  const idle = await put("idle", encodeAdapter({ ...trained, targets }));
  expect(codeOf(idle)).toBe("400 verification_failed");
  expect(idle.json.error?.message).toContain("changes nothing");
  const strange = await put("strange", withCard([{ ids: [1, 2], from: 9, logprob: -1 }]));
  expect(codeOf(strange)).toBe("400 verification_failed");
  const foreign = await put("foreign", withCard([{ ids: [1, 9_999_999], from: 1, logprob: -1 }]), "?verify=report");
  expect([foreign.status, foreign.json.verification?.status]).toEqual([201, "not_run"]);
});

it("runs those of a stored generation again on demand, and changes nothing", async () => {
  const path = `${server.url}/v1/adapters/again`;
  await put("again", readFileSync(out));
  const first = await put(
    "again",
    withCard(golden.map((one) => ({ ...one, logprob: one.logprob - 3 }))),
    "?verify=off",
  );
  const verify = (reference: string) =>
    send<Verified & { generation: string }>(`${server.url}/v1/adapters/${reference}/verify`, "POST");
  const [current, before] = [await verify("again"), await verify("again@-1")];
  expect([current.json.verification?.status, before.json.verification?.status]).toEqual(["failed", "passed"]);
  expect(before.json.generation).toBe(generationOf(readFileSync(out)));
  expect(before.json.verification).toEqual((await put("copy", readFileSync(out))).json.verification);
  expect(await send(path, "GET")).toMatchObject({
    json: { generation: (first.json as { generation?: string }).generation },
  });
  expect(codeOf(await verify("nobody"))).toBe("404 adapter_not_found");
});

it("runs nothing where nothing is asked for, or the card has none", async () => {
  expect((await put("off", readFileSync(out), "?verify=off")).json.verification).toBeUndefined();
  const plain = await put("plain", withCard([]));
  expect([plain.status, plain.json.verification?.status]).toEqual([201, "not_run"]);
  expect((await put("plain", withCard([]), "?verify=maybe")).status).toBe(400);
});
