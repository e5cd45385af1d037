/** `mosara doctor` of the built program, on the demo: a healthy machine, and one with several faults. */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { openReceiptKey } from "../../src/receipt/receipt-key.ts";
import { openAdapterStore } from "../../src/store/adapter-store.ts";
import { DEFAULT_TENANT } from "../../src/store/tenant.ts";
import { mosara, tempDir } from "../helpers/server.ts";

const DEMO = join(packageRoot(), "models", "demo");
const PIRATE = readFileSync(join(packageRoot(), "adapters", "pirate.mosara"));

async function dataWithAdapter(): Promise<string> {
  const dir = tempDir();
  await using store = await openAdapterStore(dir);
  await store.namesOf(DEFAULT_TENANT).put("pirate", PIRATE);
  return dir;
}

interface Report {
  readonly ok: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly status: string;
    readonly found: string;
    readonly mend: string | null;
  }[];
}
async function examine(...args: string[]) {
  const { code, stdout, stderr } = await mosara("doctor", "--json", "--threads", "1", ...args);
  expect(stderr).toBe("");
  const report = JSON.parse(stdout) as Report;
  expect(code).toBe(report.ok ? 0 : 1);
  return { report, by: new Map(report.checks.map((check) => [check.name, check])) };
}

it("finds nothing to mend but a key that others may read, and a draft model as large as the base", async () => {
  const data = await dataWithAdapter();
  await openReceiptKey(join(data, "receipt-key.pem"));
  chmodSync(join(data, "receipt-key.pem"), 0o644);
  const { report, by } = await examine("--data", data, "--port", "0", "--draft-model", DEMO);
  expect(report.checks.filter(({ status }) => status === "fail")).toEqual([]);
  expect(by.get("isolation")?.found).toMatch(/^bit-identical alone and in batches of up to 16 rows/);
  expect(by.get("draft")).toMatchObject({ status: "warn", mend: "A smaller model guesses faster." });
  expect(by.get("store")?.found).toMatch(/^1 adapters, .*; 1 compared with their hashes$/);
  expect(by.get("receipt key")).toMatchObject({ status: "warn", mend: expect.stringContaining("chmod 600") as string });
});

it("names every fault, with what to do", async () => {
  const data = await dataWithAdapter();
  const file = readFileSync(join(data, "data.mdb"));
  const at = file.indexOf(PIRATE.subarray(PIRATE.length - 64));
  file.writeUInt8(file.readUInt8(at) ^ 1, at);
  writeFileSync(join(data, "data.mdb"), file);
  writeFileSync(join(data, "key.pem"), "no key");
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo;
  const model = join(data, "no-base");
  const { by } = await examine(
    "--data",
    data,
    "--port",
    `${port}`,
    "--model",
    model,
    "--receipt-key",
    join(data, "key.pem"),
  );
  other.close();
  const failed = [...by.values()].filter(({ status }) => status === "fail").map(({ name }) => name);
  expect(failed).toEqual(["port", "base", "store", "receipt key"]);
  expect(by.get("port")?.mend).toContain("--port");
  expect(by.get("store")?.found).toContain("1 of 1 adapters do not have the bytes of their generation: pirate");
  expect(by.get("receipt key")?.found).toContain("private Ed25519 key");
  const inFile = await examine("--data", join(data, "key.pem", "data"), "--port", "0", "--model", model);
  expect(inFile.by.get("disk")).toMatchObject({ status: "fail", mend: expect.stringContaining("--data") as string });
});
