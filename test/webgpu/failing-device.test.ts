/**
 * What a server does when its device has no more memory, or is lost: the driver's own answers, in the real processes.
 * Needs dist/ and a C compiler.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { builtBase } from "../helpers/models/bases.ts";
import { TOY_CONFIG, writeCheckpoint } from "../helpers/models/checkpoints.ts";
import { type FailingDevice, makeFailingDevice } from "../helpers/engine/failing-device.ts";
import { modelCases } from "../helpers/fixtures.ts";
import {
  type Answer,
  type Completion,
  type TestServer,
  codeOf,
  complete,
  metric,
  send,
  startServer,
  stream,
  tempDir,
  until,
} from "../helpers/server.ts";
import { describeOnWebgpu } from "../helpers/engine/webgpu.ts";

const NAME = "model";
const VOCAB = 384; // of the fixtures' tokenizers
/** Heads so wide that nothing takes as much memory as keys and values do: 1 KiB of each a position. */
const CONFIG = { ...TOY_CONFIG, num_attention_heads: 4, num_key_value_heads: 4, head_dim: 64, vocab_size: VOCAB };
const question = (numPrompt: number, numTokens: number) => ({
  model: NAME,
  prompt: Array.from({ length: numPrompt }, (_, i) => 3 + ((i * 7) % 90)),
  max_tokens: numTokens,
});
const SHORT = question(5, 4);
/**
 * Longer than what the self-test has had memory for: its row has room for 1536 positions, the provider takes 2 MiB for
 * the keys of one and 4 MiB for two.
 */
const LONG = question(1030, 2);
const LONG_BYTES = 2 ** 21;

/** In CI it fails without one. */
const isSkipped = spawnSync("cc", ["--version"]).status !== 0 && !process.env.CI;
if (isSkipped) console.warn("No C compiler (cc): the tests of failing devices are skipped.");

describeOnWebgpu("a server whose device fails", { timeout: 900_000, skip: isSkipped }, () => {
  let device: FailingDevice;
  let server: TestServer;
  let expected: readonly number[] | undefined;
  const ids = ({ json }: Answer<Completion>) => json.choices?.[0]?.token_ids;
  const restarts = () => metric(server.url, "mosara_engine_restarts_total");
  const ready = () => send(`${server.url}/readyz`, "GET");
  const untilReady = () => until("an engine", async () => (await ready()).status === 200);

  beforeAll(async () => {
    const found = modelCases().find(({ dir }) => existsSync(join(dir, "tokenizer.json")));
    if (!found) throw new Error("no model fixture has a tokenizer");
    const dir = await writeCheckpoint(tempDir(), { ...CONFIG, max_position_embeddings: 2048 });
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) cpSync(join(found.dir, name), join(dir, name));
    const base = await builtBase(dir, { targets: "none" });
    device = makeFailingDevice();
    const flags = ["--model", base, "--served-model-name", NAME, "--device", "webgpu", "--max-num-seqs", "2"];
    server = await startServer(flags, { env: device.env });
    await untilReady();
    expected = ids(await complete(server.url, SHORT));
    expect(expected).toHaveLength(SHORT.max_tokens);
  }, 900_000);
  beforeEach(untilReady);
  afterEach(() => device.empty());
  afterAll(() => server[Symbol.asyncDispose]());

  it("ends the request that memory runs out for, and serves the same one once there is memory", async () => {
    device.fill(LONG_BYTES - 1);
    expect(codeOf(await complete(server.url, LONG))).toBe("409 insufficient_memory");
    expect(ids(await complete(server.url, SHORT))).toEqual(expected);
    device.empty();

    // Of two, the newest ends, and the other one continues.
    const longer = { ...SHORT, max_tokens: 100 };
    const running = stream(server.url, longer);
    await until("tokens", () => running.answer.ids.length > 2);
    device.fill(2 * LONG_BYTES - 1);
    expect(codeOf(await complete(server.url, LONG))).toBe("409 insufficient_memory");
    expect(running.answer.ids.length).toBeLessThan(longer.max_tokens);
    const { isDone, ids: streamed } = await running.ended;
    expect(isDone).toBe(true);
    expect(streamed).toHaveLength(longer.max_tokens);
    device.empty();
    const both = await Promise.all([complete(server.url, longer), complete(server.url, LONG)]);
    expect(ids(both[0])).toEqual(streamed);
    expect(ids(both[1])).toHaveLength(LONG.max_tokens);
    expect(await restarts()).toBe(0);
  });

  it("starts another engine when there is no memory for anything, and answers the same from it", async () => {
    const before = (await restarts()) ?? 0;
    device.fill(0);
    // Nobody is told of an upload that the driver refuses: a shader may read beyond its buffer before the engine ends
    // by itself.
    expect(["409 insufficient_memory", "503 engine_unavailable"]).toContain(codeOf(await complete(server.url, SHORT)));
    const { text } = await until("the engine to end", ready, ({ status }) => status === 503);
    expect(text).toMatch(/memory|SIGSEGV/);
    expect((await send(`${server.url}/healthz`, "GET")).status).toBe(200);
    device.empty();
    await untilReady();
    expect(ids(await complete(server.url, SHORT))).toEqual(expected);
    expect(await restarts()).toBeGreaterThan(before);
  });

  it("ends its streams with an error when the device is lost, and answers the same from another engine", async () => {
    const before = (await restarts()) ?? 0;
    const running = stream(server.url, { ...SHORT, max_tokens: 100 });
    await until("tokens", () => running.answer.ids.length > 2);
    device.lose();
    expect(await running.ended).toMatchObject({ isDone: false, errorCode: "engine_unavailable" });
    expect((await send(`${server.url}/healthz`, "GET")).status).toBe(200);
    expect((await ready()).text).toMatch(/The device \(webgpu\) is lost/);
    await untilReady();
    expect(ids(await complete(server.url, SHORT))).toEqual(expected);
    expect(await restarts()).toBe(before + 1);
  });
});
