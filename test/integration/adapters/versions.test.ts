/** Versions and aliases on a real server: killed and started again, and targets that break the rule of their alias. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../../src/adapter/adapter-file.ts";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import { type Manifest, readManifest } from "../../../src/base/manifest.ts";
import { adapterFor } from "../../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import {
  complete,
  metric,
  putAdapter,
  send,
  startServer,
  tempDir,
  type TestServer,
  until,
} from "../../helpers/server.ts";

interface Alias {
  readonly targets: readonly { readonly adapter: string; readonly generation: string; readonly weight: number }[];
  readonly taken_out: { readonly target: string; readonly reason: string; readonly measured: number | null } | null;
}

/** A test machine may be busy with other things. */
const TIMEOUT_MS = 180_000;

const data = tempDir();
let args: string[];
let manifest: Manifest;
let server: TestServer;
beforeAll(async () => {
  const base = await longLlamaBase(96);
  manifest = await readManifest(base);
  args = ["--model", base, "--served-model-name", "base", "--data", data, "--keep-generations", "3"];
  server = await startServer([...args, "--verify-uploads", "off"]);
});
afterAll(() => server[Symbol.asyncDispose]());

const golden = [{ ids: [5, 6, 7, 8, 9, 10, 11, 12], from: 2, logprob: -1 }];
const withGolden = (seed: number): Uint8Array => {
  const adapter = adapterFor(manifest, { seed });
  return encodeAdapter({ ...adapter, card: { seed, golden } });
};
/** An adapter whose products are no finite numbers. */
function exploding(): Uint8Array {
  const adapter = adapterFor(manifest, { seed: 9 });
  const targets = adapter.targets.map(({ tensors, ...target }) => ({
    ...target,
    tensors: Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [
        name,
        { ...tensor, data: Float32Array.from(tensor.data as Float32Array, () => 3e37) },
      ]),
    ),
  }));
  return encodeAdapter({ ...adapter, targets } as Adapter);
}
const putAlias = (name: string, body: object) => send<Alias>(`${server.url}/v1/aliases/${name}`, "PUT", body);
const getAlias = async (name: string) => (await send<Alias>(`${server.url}/v1/aliases/${name}`, "GET")).json;
const generationsOf = async (name: string) => {
  const { json } = await send<{ data: { generation: string }[] }>(`${server.url}/v1/adapters/${name}/versions`, "GET");
  return json.data.map(({ generation }) => generation);
};
const ask = (model: string, user: string) =>
  complete(server.url, { model, user, prompt: [5, 6, 7], max_tokens: 4, temperature: 0 });

it(
  "survive kill -9 right after each change was acknowledged",
  async () => {
    const files = [1, 2, 3].map((seed) => withGolden(seed));
    const hashes = files.map((file) => generationOf(file));
    for (const file of files) await putAdapter(server.url, "a", file);
    await putAlias("live", { targets: { a: 1, "a@-1": 1 } });
    const users = Array.from({ length: 12 }, (_, i) => `user-${i}`);
    const answersOf = async () => {
      const answers = await Promise.all(users.map((user) => ask("live", user)));
      return answers.map(({ json }) => [json.system_fingerprint, json.choices[0]?.text]);
    };
    const before = await answersOf();
    expect(new Set(before.map(([print]) => print)).size).toBe(2);
    const rolledBack = await send(`${server.url}/v1/adapters/a/rollback`, "POST", { to: "-2" });
    expect(rolledBack.status).toBe(200);
    await send(`${server.url}/v1/adapters/a/rollback`, "POST", { to: hashes[2] });
    server.child.kill("SIGKILL");
    await server.exited;
    server = await startServer([...args, "--verify-uploads", "off"]);
    expect(await generationsOf("a")).toEqual([hashes[2], hashes[0], hashes[1]]);
    expect((await getAlias("live")).targets).toMatchObject([
      { adapter: "a", generation: hashes[2], weight: 1 },
      { adapter: "a", generation: hashes[1], weight: 1 },
    ]);
    expect(await answersOf()).toEqual(before);
  },
  TIMEOUT_MS,
);

it(
  "take out a target that ends with errors, and tell it from the others, after a restart too",
  async () => {
    await putAdapter(server.url, "good", withGolden(4));
    await putAdapter(server.url, "bad", exploding());
    const rule = { max_error_share: 0.5, min_requests: 5 };
    // Four errors are not enough. After a restart, the fifth one is.
    await putAlias("restarted", { targets: { bad: 1, good: 1e-9 }, rule });
    for (let i = 0; i < 4; i++) await ask("restarted", `user-${i}`);
    expect((await getAlias("restarted")).taken_out).toBeNull();
    server.child.kill("SIGTERM");
    await server.exited;
    server = await startServer([...args, "--verify-uploads", "off"]);
    await ask("restarted", "user-4");
    const takenOut = await until("the fifth error", async () => (await getAlias("restarted")).taken_out);
    expect(takenOut).toMatchObject({ target: "bad", reason: "errors", measured: 1 });
    await putAlias("watched", { targets: { good: 1, bad: 1 }, rule });
    for (let i = 0; (await getAlias("watched")).taken_out === null; i++) {
      expect(i).toBeLessThan(100);
      await Promise.all(Array.from({ length: 4 }, (_, j) => ask("watched", `user-${i}-${j}`)));
    }
    expect(await getAlias("watched")).toMatchObject({
      targets: [{ adapter: "good", weight: 1 }],
      taken_out: { target: "bad", reason: "errors", measured: 1 },
    });
    expect((await ask("watched", "user-0-0")).status).toBe(200);
    expect(await metric(server.url, 'mosara_alias_rollbacks_total{reason="errors"}')).toBe(2);
    expect(server.printed.stderr).toContain('"change":"taken_out"');
  },
  TIMEOUT_MS,
);

it(
  "take out a target that lowers the log-probability of the main target's golden answers",
  async () => {
    await putAdapter(server.url, "main", withGolden(5));
    await putAdapter(server.url, "other", withGolden(6));
    // What the rule measures, from the scores of the server's own API.
    const meanOf = async (model: string) => {
      const { json } = await complete(server.url, {
        model,
        prompt: golden[0]?.ids,
        max_tokens: 0,
        echo: true,
        logprobs: 0,
      });
      const scores = (json.choices[0]?.logprobs?.token_logprobs ?? []).slice(golden[0]?.from) as number[];
      return scores.reduce((sum, score) => sum + score, 0) / scores.length;
    };
    const means = [await meanOf("main"), await meanOf("other")] as const;
    const [main, other] = means[0] > means[1] ? ["main", "other"] : ["other", "main"];
    const drift = Math.abs(means[0] - means[1]);
    await putAlias("loose", { targets: { [main]: 9, [other]: 1 }, rule: { max_drift: drift * 1.01 } });
    await putAlias("tight", { targets: { [main]: 9, [other]: 1 }, rule: { max_drift: drift * 0.99 } });
    const users = Array.from({ length: 40 }, (_, i) => `user-${i}`);
    await Promise.all(users.flatMap((user) => [ask("loose", user), ask("tight", user)]));
    const takenOut = await until("the drift", async () => {
      await ask("tight", "user-0");
      return (await getAlias("tight")).taken_out;
    });
    expect(takenOut).toMatchObject({ target: other, reason: "drift" });
    expect(takenOut?.measured).toBeCloseTo(drift, 9);
    expect((await getAlias("loose")).taken_out).toBeNull();
  },
  TIMEOUT_MS,
);

it(
  "run golden answers without counting them as anybody's use",
  async () => {
    const usage = async () => (await send(`${server.url}/v1/usage`, "GET")).json;
    await ask("a", "somebody");
    const before = await usage();
    const put = await send<{ verification: { golden: number; found: number | null } }>(
      `${server.url}/v1/adapters/checked?verify=report`,
      "PUT",
      withGolden(7),
    );
    expect(put.json.verification).toMatchObject({ golden: 1, found: expect.any(Number) });
    expect(await usage()).toEqual(before);
  },
  TIMEOUT_MS,
);
