/** Checks of the data directory: its disk, the adapter store, and the key that signs receipts. */
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rm, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BaseSignature } from "../../adapter/adapter.ts";
import { AdapterFits } from "../../http/adapters/adapter-fits.ts";
import { openReceiptKey } from "../../receipt/receipt-key.ts";
import { openAdapterStore } from "../../store/adapter-store.ts";
import { RECEIPT_KEY_FILE } from "../serve/receipt-issuer.ts";
import { type Check, failed, ok, shownBytes, warn } from "./check.ts";

/** The store grows with every upload, and needs room to write a transaction. */
const LEAST_FREE_BYTES = 2 ** 26;
const LOW_FREE_BYTES = 2 ** 30;
/** Maximum number of adapters whose bytes are compared with their hash. */
const MAX_CHECKED = 1000;

export async function checkDisk(dir: string): Promise<Check> {
  const there = nearestExisting(dir);
  await writeSomething(there);
  const { bavail, bsize } = await statfs(there);
  const free = bavail * bsize;
  const found = `${shownBytes(free)} free in ${dir}${there === dir ? "" : ", which does not exist yet"}`;
  if (free < LEAST_FREE_BYTES) return failed("disk", found, "Free some space, or choose another --data.");
  if (free < LOW_FREE_BYTES) return warn("disk", found, "Free some space before many adapters are uploaded.");
  return ok("disk", found);
}

function nearestExisting(dir: string): string {
  return existsSync(dir) || dirname(dir) === dir ? dir : nearestExisting(dirname(dir));
}

/** @throws {Error} in a directory that cannot be written */
async function writeSomething(dir: string): Promise<void> {
  const path = join(dir, `.mosara-doctor-${randomUUID()}`);
  try {
    await writeFile(path, "doctor", { flag: "wx", flush: true });
  } finally {
    await rm(path, { force: true });
  }
}

/** @param signature of the base that will serve the adapters; null: it could not be opened */
export async function checkStore(dir: string, signature: BaseSignature | null): Promise<Check> {
  if (!existsSync(join(dir, "data.mdb"))) return ok("store", `${dir} has no adapters yet`);
  await using store = await openAdapterStore(dir, { readOnly: true });
  const records = store.first(MAX_CHECKED);
  const damaged = records.filter(({ generation }) => {
    const content = store.content(generation);
    return content === undefined || createHash("sha256").update(content).digest("hex") !== generation;
  });
  const names = (some: typeof records): string =>
    some
      .slice(0, 5)
      .map(({ name }) => name)
      .join(", ");
  if (damaged.length > 0)
    return failed(
      "store",
      `${damaged.length} of ${records.length} adapters do not have the bytes of their generation: ${names(damaged)}`,
      "Upload these adapters again, and check the disk.",
    );
  const found = `${store.count()} adapters, ${shownBytes(store.totalBytes())}; ${records.length} compared with their hashes`;
  const fits = signature === null ? null : new AdapterFits(signature);
  const strangers = records.filter((record) => fits !== null && fits.misfitOf(record) !== null);
  if (strangers.length === 0) return ok("store", found);
  return warn(
    "store",
    `${found}; ${strangers.length} do not fit this base: ${names(strangers)}`,
    "Serve their base as --model, or train them for this one.",
  );
}

export async function checkReceiptKey(dir: string, given: string | null): Promise<Check> {
  const path = given ?? join(dir, RECEIPT_KEY_FILE);
  if (!existsSync(path)) return ok("receipt key", `${path} will be made at the first start`);
  const { publicKey } = await openReceiptKey(path);
  const { mode } = await stat(path);
  if (process.platform !== "win32" && (mode & 0o077) !== 0)
    return warn("receipt key", `other users may read ${path}, and sign receipts`, `Run chmod 600 ${path}.`);
  return ok("receipt key", publicKey);
}
