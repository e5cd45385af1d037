/** Keys of a file, made and revoked by the commands while the server runs. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { longLlamaBase } from "../helpers/models/golden-base.ts";
import { codeOf, complete, mosara, send, startServer, tempDir, type TestServer, until } from "../helpers/server.ts";

let baseDir: string;
let dir: string;
let file: string;
beforeAll(async () => {
  baseDir = await longLlamaBase(640);
  dir = tempDir();
  file = join(dir, "keys.json");
});

const add = async (id: string, ...flags: string[]): Promise<string> => {
  const { code, stdout, stderr } = await mosara("keys", "add", id, "--keys", file, ...flags);
  expect([code, stderr]).toEqual([0, expect.stringContaining(`the key "${id}"`)]);
  return stdout.trim();
};
const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
const statusOf = async ({ url }: TestServer, path: string, key: string) =>
  codeOf(await send(`${url}${path}`, "GET", undefined, as(key)));

it("keys of a file come and go while the server runs, and a bad file changes nothing", async () => {
  const app = await add("app", "--tenant", "acme", "--scopes", "use,write", "--adapters", "team-*");
  expect(readFileSync(file, "utf8")).not.toContain(app);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
    version: 1,
    keys: [
      {
        id: "app",
        sha256: createHash("sha256").update(app).digest("hex"),
        tenant: "acme",
        scopes: ["use", "write"],
        adapters: ["team-*"],
      },
    ],
  });
  expect(statSync(file).mode & 0o777).toBe(0o600);

  await using server = await startServer(["--model", baseDir, "--served-model-name", "base", "--keys", file]);
  const { url, printed, child } = server;
  expect((await complete(url, { model: "base", prompt: [5], max_tokens: 1 }, as(app))).status).toBe(200);
  expect(codeOf(await send(`${url}/v1/models`, "GET"))).toBe("401 invalid_api_key");
  expect(await statusOf(server, "/metrics", app)).toBe("403 insufficient_scope");

  const limits = ["--requests-per-minute", "9", "--max-adapters", "2", "--max-bytes", "1M", "--priority", "0.5"];
  await add("limited", "--queue-share", "0.25", "--concurrent", "3", "--tokens-per-minute", "700", ...limits);
  const entries = (JSON.parse(readFileSync(file, "utf8")) as { keys: { limits?: object }[] }).keys;
  expect(entries[1]?.limits).toEqual({
    requestsPerMinute: 9,
    tokensPerMinute: 700,
    concurrent: 3,
    queueShare: 0.25,
    adapters: 2,
    bytes: 2 ** 20,
    priority: 0.5,
  });
  expect((await mosara("keys", "revoke", "limited", "--keys", file)).code).toBe(0);
  const scraper = await add("scraper", "--scopes", "metrics,admin");
  await until("the new key", async () => (await statusOf(server, "/metrics", scraper)) === "200");
  expect((await mosara("keys", "revoke", "app", "--keys", file)).code).toBe(0);
  await until(
    "the end of the old key",
    async () => (await statusOf(server, "/version", app)) === "401 invalid_api_key",
  );

  await until("the line about the change", () => printed.stderr.includes('"removed":["app"]'));
  expect(printed.stderr).toContain('"added":["scraper"]');

  const good = readFileSync(file, "utf8");
  writeFileSync(file, good.replace('"metrics"', '"metric"'));
  const reread = (text: string) => printed.stderr.split(text).length - 1;
  await until("the line about the bad file", () => reread("was not read again") > 0);
  expect(printed.stderr).toMatch(/keys\[0\] \(\\"scraper\\"\): \\"scopes\.0\\"/);
  expect(await statusOf(server, "/metrics", scraper)).toBe("200");
  writeFileSync(file, good);
  const before = reread("was read again");
  child.kill("SIGHUP");
  await until("the file to be read again", () => reread("was read again") > before);
  expect(await statusOf(server, "/metrics", scraper)).toBe("200");

  await send(`${url}/v1/models`, "GET", undefined, { headers: { ...as(scraper).headers, "x-request-id": scraper } });
  await until("the request's line", () => printed.stderr.includes('"/v1/models"'));
  expect(printed.stderr).not.toContain(scraper);
  expect(await server.stop()).toBe(0);
});

it("the commands say what is there and why they cannot", async () => {
  await add("old", "--expires", "2020-01-01T00:00:00Z", "--requests-per-minute", "60");
  const listed = await mosara("keys", "list", "--keys", file, "--json");
  expect(JSON.parse(listed.stdout)).toMatchObject({
    keys: [
      { id: "scraper", tenant: "default", scopes: ["metrics", "admin"], expired: false },
      { id: "old", scopes: ["use"], expired: true },
    ],
  });
  expect(listed.stdout).not.toContain("sha256");
  expect((await mosara("keys", "list", "--keys", file)).stdout).toContain(
    "old tenant=default scopes=use requestsPerMinute=60 expired=2020-01-01T00:00:00Z",
  );
  const failures: [string[], RegExp][] = [
    [["add", "old"], /already has a key "old"/],
    [["add", "a b"], /id has 1 to 64 letters/],
    [["add", "new", "--tenant", "shared"], /not be "shared"/],
    [["add", "new", "--scopes", "root"], /--scopes/],
    [["revoke", "nobody"], /has no key "nobody".*scraper, old/],
  ];
  for (const [args, message] of failures) {
    const { code, stdout, stderr } = await mosara("keys", ...args, "--keys", file);
    expect([args, code, stdout]).toEqual([args, 2, ""]);
    expect(stderr).toMatch(message);
  }
  expect(readdirSync(dir)).toEqual(["keys.json"]); // no lock and no half-written file is left
  writeFileSync(file, '{"version":1,"keys":[{"id":"x"}]}');
  const { code, stderr } = await mosara(
    "serve",
    "--model",
    baseDir,
    "--keys",
    file,
    "--port",
    "0",
    "--data",
    tempDir(),
  );
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/^mosara: The keys file .*keys\[0\] \("x"\): "sha256"[^\n]+\n$/),
  ]);
});
