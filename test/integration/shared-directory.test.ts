/** Two servers, each a process, share one directory (--store /path). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { decodeAdapter, encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { complete, startServer, tempDir, until } from "../helpers/server.ts";

const FLAGS = ["--model", join(packageRoot(), "models", "demo"), "--served-model-name", "demo"];

/** Different adapters that fit the demo. */
const pirate = decodeAdapter(readFileSync(join(packageRoot(), "adapters", "pirate.mosara")), { maxBytes: 2 ** 20 });
const variant = (seed: number): Uint8Array => encodeAdapter({ ...pirate, card: { ...pirate.card, seed } });

it("keeps If-Match between two servers, and loses nothing that a killed one has acknowledged", async () => {
  const store = ["--store", tempDir(), "--store-refresh", "0.2", "--store-timeout", "60"];
  const begin = () => startServer([...FLAGS, ...store]);
  const [a, b] = await Promise.all([begin(), begin()]);
  await using _ = a;
  await using __ = b;
  const both = (seed: number) => (seed % 2 === 0 ? a : b);
  const put = async (seed: number, headers: Record<string, string>) => {
    const body = Buffer.from(variant(seed));
    const answer = await fetch(`${both(seed).url}/v1/adapters/hook`, { method: "PUT", body, headers });
    await answer.text();
    return { status: answer.status, etag: answer.headers.get("etag") ?? "", seed };
  };
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
  let condition: Record<string, string> = { "if-none-match": "*" };
  let winner = { status: 0, etag: "", seed: 0 };
  for (const success of [201, 200, 200]) {
    const answers = await Promise.all(seeds.map(async (seed) => await put(seed + winner.seed, condition)));
    expect(answers.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([success, ...Array(7).fill(412)]);
    winner = answers.find(({ status }) => status === success) ?? winner;
    condition = { "if-match": winner.etag };
  }
  a.child.kill("SIGKILL");
  const wanted = `hook@${generationOf(variant(winner.seed))}`;
  // The bound of --store-refresh: until then the other server may answer with its copy.
  const found = await until(
    "the acknowledged adapter",
    async () => {
      const answer = await complete(b.url, { model: "hook", prompt: "Hello", max_tokens: 1 });
      return [answer.status, answer.headers.get("x-mosara-adapter")];
    },
    ([, adapter]) => adapter === wanted,
  );
  expect(found).toEqual([200, wanted]);
});
