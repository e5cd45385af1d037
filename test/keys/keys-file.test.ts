import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openKeys } from "../../src/cli/serve/open-keys.ts";
import { Cleanup } from "../../src/cli/shared/cleanup.ts";
import { KeyRing } from "../../src/keys/key-ring.ts";
import { type KeyEntry, parseKeysFile, readKeysFile, writeKeysFile } from "../../src/keys/keys-file.ts";
import { loggerTo } from "../../src/log/logger.ts";

const sha256 = (key: string): string => createHash("sha256").update(key).digest("hex");
const entry = (id: string, changes: object = {}): KeyEntry => ({
  id,
  sha256: sha256(id),
  tenant: "acme",
  scopes: ["use"],
  ...changes,
});
const parse = (keys: unknown, more: object = {}) =>
  parseKeysFile(JSON.stringify({ version: 1, keys, ...more }), "k.json");

describe("a keys file", () => {
  it("is read as it is written", () => {
    const keys = [
      entry("a"),
      entry("b", { adapters: ["x-*"], expires: "2027-01-31T00:00:00Z", scopes: ["write", "admin"] }),
    ];
    expect(parse(keys)).toEqual({ version: 1, keys });
    expect(parse([])).toEqual({ version: 1, keys: [] });
  });

  it.each([
    ["no JSON", "{", /k\.json is not JSON/],
    ["another version", { version: 2, keys: [] }, /"version"/],
    ["no list of keys", { version: 1 }, /"keys"/],
    ["an unknown field", { version: 1, keys: [], tenant: {} }, /unknown field "tenant"/],
    ["an endless name of a field", { version: 1, keys: [], ["x".repeat(1e5)]: {} }, /^.{1,400}$/],
    [
      "an entry's unknown field",
      [entry("a"), entry("b", { scope: "use" })],
      /keys\[1\] \("b"\).*unknown field "scope"/,
    ],
    ["a key in place of its hash", [entry("a", { sha256: "secret" })], /keys\[0\] \("a"\): "sha256" must be a SHA-256/],
    ["no such scope", [entry("a", { scopes: ["use", "root"] })], /keys\[0\] \("a"\): "scopes\.1"/],
    ["no scope", [entry("a", { scopes: [] })], /"scopes" must name at least one of use, write/],
    ["the owner of shared adapters", [entry("a", { tenant: "shared" })], /"tenant"/],
    [
      "a field twice",
      `{"version":1,"keys":[{"id":"a","sha256":"${sha256("a")}","tenant":"acme","scopes":["use"],"scopes":["admin"]}]}`,
      /"scopes" twice in one object/,
    ],
    ["a time without a zone", [entry("a", { expires: "2027-01-31" })], /"expires" must be a time such as/],
    ["a pattern that is no name", [entry("a", { adapters: ["a/b"] })], /"adapters\.0"/],
    [
      "one id twice",
      [entry("a"), entry("b"), entry("a", { sha256: sha256("c") })],
      /keys\[2\] \("a"\) has the id of keys\[0\]/,
    ],
    [
      "one hash twice",
      [entry("a"), entry("b", { sha256: sha256("a") })],
      /keys\[1\] \("b"\) has the sha256 of keys\[0\]/,
    ],
  ])("with %s is refused, and the place is named", (_, content, message) => {
    const text =
      typeof content === "string"
        ? content
        : JSON.stringify(Array.isArray(content) ? { version: 1, keys: content } : content);
    expect(() => parseKeysFile(text, "k.json")).toThrowError(
      expect.objectContaining({ code: "usage", message: expect.stringMatching(message) }),
    );
    expect(() => parseKeysFile(text, "k.json")).not.toThrowError(/secret/);
  });

  it("that is missing is an error with its path", async () => {
    const dir = mkdtempSync(join(tmpdir(), "mosara-keys-"));
    await expect(readKeysFile(join(dir, "none.json"))).rejects.toThrow(/none\.json cannot be read/);
    await expect(readKeysFile(dir)).rejects.toThrow(/cannot be read/);
    rmSync(dir, { recursive: true });
  });
});

describe("opening keys", () => {
  const open = async (apiKey: readonly { tenant: string; key: string }[], keys: string | null) => {
    const lines: string[] = [];
    const log = loggerTo({ isTerminal: false, write: (line) => void lines.push(line) }, { level: "warn", keys: [] });
    await using cleanup = new Cleanup();
    await openKeys({ apiKey: [...apiKey], keys }, log, cleanup);
    return lines.map((line) => JSON.parse(line) as unknown);
  };

  it("warns of keys that are too short", async () => {
    expect(await open([{ tenant: "acme", key: "12345678" }], null)).toEqual([]);
    expect(
      await open(
        [
          { tenant: "acme", key: "1234567" },
          { tenant: "globex", key: "long-enough" },
        ],
        null,
      ),
    ).toMatchObject([{ level: "warn", tenants: ["acme"], msg: expect.stringContaining("shorter than 8 characters") }]);
  });

  it("warns of limits whose tenant has no key", async () => {
    const dir = mkdtempSync(join(tmpdir(), "mosara-keys-"));
    const path = join(dir, "keys.json");
    const limits = { requestsPerMinute: 1 };
    const tenants = { acme: { limits }, plain: { limits }, acmee: { limits } };
    await writeKeysFile(path, { version: 1, keys: [entry("a")], tenants });
    expect(await open([{ tenant: "plain", key: "long-enough" }], path)).toMatchObject([
      { level: "warn", tenants: ["acmee"] },
    ]);
    rmSync(dir, { recursive: true });
  });
});

describe("a keys file that is replaced", () => {
  it("keeps its mode, and is the owner's alone when it is new", async () => {
    const dir = mkdtempSync(join(tmpdir(), "mosara-keys-"));
    const path = join(dir, "keys.json");
    const modeOf = () => (statSync(path).mode & 0o777).toString(8);
    await writeKeysFile(path, { version: 1, keys: [entry("a")] });
    expect(modeOf()).toBe("600");
    chmodSync(path, 0o640);
    await writeKeysFile(path, { version: 1, keys: [entry("b")] });
    expect([modeOf(), (await readKeysFile(path)).keys[0]?.id]).toEqual(["640", "b"]);
    rmSync(dir, { recursive: true });
  });
});

describe("a ring of keys", () => {
  it("finds the caller of a key until it expires, and nobody else", () => {
    const ring = new KeyRing([{ tenant: "acme", key: "plain" }]);
    expect([ring.isOpen, ring.hasTenants]).toEqual([false, false]);
    expect(ring.find("plain", 0)?.scopes).toContain("admin");
    ring.setFile({
      version: 1,
      keys: [
        entry("ci", { tenant: "globex", scopes: ["use", "write"], adapters: ["a*"], expires: "2027-01-31T00:00:00Z" }),
        entry("boss", { scopes: ["admin"] }),
      ],
    });
    const end = Date.UTC(2027, 0, 31);
    expect(ring.find("ci", end - 1)).toEqual({
      keyId: "ci",
      tenant: "globex",
      scopes: new Set(["use", "write"]),
      adapters: ["a*"],
      meters: [],
    });
    expect(ring.find("ci", end)).toBeUndefined();
    expect(ring.find("boss", end)?.scopes).toEqual(new Set(["admin"]));
    expect([ring.find("", 0), ring.find(sha256("ci"), 0), ring.find("cI", 0)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    // Beside another tenant, a key of --api-key is no admin.
    expect(ring.find("plain", 0)?.scopes).toEqual(new Set(["use", "write", "train", "metrics"]));
    ring.setFile({ version: 1, keys: [] });
    expect(ring.find("ci", 0)).toBeUndefined();
    expect(ring.find("plain", 0)?.scopes).toContain("admin");
  });

  it("is open without keys, and closed by a file without keys", () => {
    const ring = new KeyRing([]);
    expect([ring.isOpen, ring.operator.tenant]).toEqual([true, "default"]);
    ring.setFile({ version: 1, keys: [] });
    expect(ring.isOpen).toBe(false);
  });
});
