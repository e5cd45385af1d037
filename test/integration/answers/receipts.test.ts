/** Receipts of the real program: answers given in a batch are computed again, in another process, bit for bit. */
import { generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import { canonicalJson } from "../../../src/formats/canonical-json.ts";
import { idsHash, type Receipt } from "../../../src/receipt/receipt.ts";
import { mosara, send, startServer, tempDir, type TestServer } from "../../helpers/server.ts";

const DEMO = join(packageRoot(), "models", "demo");

type Answered = Readonly<Record<string, unknown>> & { readonly mosara_receipt: Receipt };

const dir = tempDir();
const data = join(dir, "data");
let server: TestServer;
beforeAll(async () => {
  server = await startServer(["--data", data, "--merge", "formal"]);
});
afterAll(() => server[Symbol.asyncDispose]());

const MESSAGES = [{ role: "user", content: "Where is the library?" }];

/** Rows that run beside the answers under test. */
function company(): Promise<unknown> {
  const asks = ["cheerful", "json", "demo", "steps", "tarvo"].map((model, seed) => ({
    model,
    prompt: `Say ${seed}`,
    seed,
  }));
  const limits = { max_tokens: 60, ignore_eos: true };
  return Promise.all(asks.map((one) => send(`${server.url}/v1/completions`, "POST", { ...one, ...limits })));
}

async function ask(path: string, body: object): Promise<Receipt> {
  const settings = { temperature: 0.8, top_p: 0.9, seed: 7, mosara_receipt: true };
  const { status, json, text } = await send<Answered>(`${server.url}${path}`, "POST", { ...settings, ...body });
  expect(status, text).toBe(200);
  return json.mosara_receipt;
}

interface Report {
  readonly ok: boolean;
  readonly receipts: readonly {
    readonly ok: boolean;
    readonly findings: readonly { readonly part: string; readonly ok: boolean; readonly text: string }[];
  }[];
}
async function replay(receipts: readonly Receipt[], ...args: string[]): Promise<Report> {
  const path = join(dir, "receipts.jsonl");
  writeFileSync(path, receipts.map((receipt) => `${JSON.stringify({ mosara_receipt: receipt })}\n`).join(""));
  const { code, stdout, stderr } = await mosara("replay", path, ...args, "--json");
  expect(stdout, stderr).not.toBe("");
  const report = JSON.parse(stdout) as Report;
  expect(code).toBe(report.ok ? 0 : 1);
  return report;
}
const partsOf = (one: Report["receipts"][number] | undefined, ok: boolean) =>
  Object.fromEntries(one?.findings.filter((finding) => finding.ok === ok).map(({ part, text }) => [part, text]) ?? []);

/** A receipt with other facts, signed by another key. */
function forged(receipt: Receipt, change: (copy: Receipt) => void): Receipt {
  const copy = structuredClone(receipt);
  change(copy);
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const signed = Buffer.from(`mosara-receipt-1\n${canonicalJson(copy.statement)}`);
  const signature = {
    public_key: String(publicKey.export({ format: "jwk" }).x),
    value: sign(null, signed, privateKey).toString("base64url"),
  };
  return { ...copy, signature };
}

describe("a receipt", () => {
  it("is computed again bit for bit: seeds, stops, grammars, scores, blends and merged adapters, given in a batch", async () => {
    const beside = company();
    const regex = "[a-z ]{5,40}";
    const blend = { pirate: 0.5, library: 0.7 };
    const receipts = await Promise.all([
      ask("/v1/completions", { model: "demo", prompt: ["One", "Two and three"], n: 2, max_tokens: 24, stop: ["e"] }),
      ask("/v1/completions", { model: "bedtime", prompt: "Once upon a time", max_tokens: 0, echo: true, logprobs: 1 }),
      ask("/v1/chat/completions", { model: "pirate", messages: MESSAGES, max_tokens: 30, frequency_penalty: 0.5 }),
      ask("/v1/responses", { model: "library", input: "Hello", max_output_tokens: 20, structured_outputs: { regex } }),
      ask("/v1/messages", {
        model: "demo",
        adapter: { blend },
        messages: MESSAGES,
        max_tokens: 20,
        logit_bias: { 300: 2 },
      }),
      ask("/v1/completions", { model: "formal", prompt: "Good day", max_tokens: 8 }),
    ]);
    await beside;
    expect(receipts.map(({ statement }) => statement.adapter?.placement)).toEqual([
      undefined,
      "live",
      "live",
      "live",
      "live",
      "merged",
    ]);
    const [first] = receipts;
    const otherBase = forged(first, ({ statement }) => (statement.base.id = "f".repeat(64)));
    const otherCpu = forged(first, ({ statement }) => statement.machine.features.push("avx9"));
    const otherAnswer = forged(otherCpu, ({ statement, evidence }) => {
      evidence.answers[1]?.splice(2, 1, 5);
      statement.answers.ids = idsHash(evidence.answers);
    });
    const all = [...receipts, otherBase, otherCpu, otherAnswer];
    const report = await replay(all, "--model", DEMO, "--data", data);
    for (const one of report.receipts.slice(0, 6)) {
      expect(partsOf(one, false)).toEqual({});
      expect(partsOf(one, true)["replayed answer"]).toMatch(/^identical: \d+ token ids$/);
      expect(partsOf(one, true)["replayed log-probabilities"]).toBe("identical bits");
    }
    expect(partsOf(report.receipts[1], true)["replayed prompt's log-probabilities"]).toBe("identical bits");
    expect(partsOf(report.receipts[6], false).base).toMatch(/^the base was f+ there, and is [0-9a-f]{64} here$/);
    expect(partsOf(report.receipts[7], true).machine).toBe("this CPU is without avx9, without effect");
    expect(partsOf(report.receipts[8], true).machine).toBe("possible cause: this CPU is without avx9");
    expect(partsOf(report.receipts[8], false)["replayed answer"]).toMatch(
      /token 2 of answer 1 is 5 in the receipt, and \d+ here/,
    );

    // Another type of the cache gives other bits, so the replay takes it from the receipt.
    await using rounded = await startServer(["--data", join(dir, "int8"), "--kv-cache-dtype", "int8"]);
    const body = { model: "pirate", prompt: "Once upon a time", max_tokens: 20, logprobs: 1, temperature: 0 };
    const { json } = await send<Answered>(`${rounded.url}/v1/completions`, "POST", { ...body, mosara_receipt: true });
    expect(json.mosara_receipt.statement.machine).toMatchObject({ kv_cache_dtype: "int8" });
    const plain = forged(json.mosara_receipt, ({ statement }) =>
      Reflect.deleteProperty(statement.machine, "kv_cache_dtype"),
    );
    const again = await replay([json.mosara_receipt, plain], "--model", DEMO, "--data", join(dir, "int8"));
    expect(partsOf(again.receipts[0], false)).toEqual({});
    expect(partsOf(again.receipts[0], true)["replayed log-probabilities"]).toBe("identical bits");
    expect(again.receipts[1]?.ok).toBe(false);
    expect((await send(`${rounded.url}/version`, "GET")).json).toMatchObject({ kvCacheDtype: "int8" });
    expect((await send(`${rounded.url}/metrics`, "GET")).text).toMatch(/cache_config_info\{[^}]*cache_dtype="int8"/);

    const key = (await send<{ public_key: string }>(`${server.url}/v1/receipts/key`, "GET")).json.public_key;
    const checked = await replay(all, "--verify-only", "--public-key", key);
    expect(checked.receipts.map(({ ok }) => ok)).toEqual([...receipts.map(() => true), false, false, false]);
  });
});
