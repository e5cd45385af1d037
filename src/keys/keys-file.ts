/**
 * The keys file: JSON with the hashes of keys, never the keys themselves. It is checked whole, and replaced in one
 * step. Source: docs/how-to/operate/keys-and-tenants.md.
 */
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { AppError, describeIssue, quote } from "../errors.ts";
import { replaceFile } from "../replace-file.ts";
import { repeatedKey } from "../formats/repeated-key.ts";
import { SCOPES } from "./caller.ts";
import { limitsSchema } from "./limits.ts";

const MAX_BYTES = 16 * 2 ** 20;
export const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const TENANT = /^(?!shared$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const keyEntry = z.strictObject({
  id: z.string().regex(KEY_ID, 'must have 1 to 64 letters, digits, ".", "_" or "-"'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hex: mosara keys add makes it"),
  tenant: z
    .string()
    .regex(
      TENANT,
      'must have 1 to 64 letters, digits, ".", "_" or "-", and not be "shared", the owner of shared adapters',
    ),
  scopes: z.array(z.enum(SCOPES)).min(1, `must name at least one of ${SCOPES.join(", ")}`),
  adapters: z
    .array(z.string().regex(/^[A-Za-z0-9._*?-]{1,128}$/, "must be a name of adapters, in which * and ? are wildcards"))
    .optional(),
  limits: limitsSchema.optional(),
  expires: z.iso.datetime({ offset: true, message: "must be a time such as 2027-01-31T00:00:00Z" }).optional(),
});

const keysFile = z.strictObject({
  version: z.literal(1),
  /** Limits of tenants, counted over all of their keys. */
  tenants: z.record(z.string(), z.strictObject({ limits: limitsSchema })).optional(),
  keys: z.array(keyEntry),
});

/** A key as the file has it. */
export type KeyEntry = z.output<typeof keyEntry>;
export type KeysFile = z.output<typeof keysFile>;

/** Reads and checks a keys file. @throws {AppError} usage, naming the file and the entry. */
export async function readKeysFile(path: string): Promise<KeysFile> {
  let text: string;
  try {
    await using handle = await open(path);
    const { size } = await handle.stat();
    if (size > MAX_BYTES) throw fault(path, `has ${size} bytes, but at most ${MAX_BYTES} are read`);
    text = await readFile(handle, "utf8");
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw fault(path, `cannot be read: ${(error as Error).message}`);
  }
  return parseKeysFile(text, path);
}

/** @param path for messages @throws {AppError} usage */
export function parseKeysFile(text: string, path: string): KeysFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw fault(path, `is not JSON: ${(error as Error).message}`);
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw fault(path, `has ${quote(repeated)} twice in one object`);
  const parsed = keysFile.safeParse(json);
  if (!parsed.success) throw fault(path, issueText(parsed.error.issues[0], json));
  const { keys } = parsed.data;
  for (const field of ["id", "sha256"] as const) {
    const seen = new Map<string, number>();
    for (const [i, entry] of keys.entries()) {
      const first = seen.get(entry[field]);
      if (first !== undefined) throw fault(path, `${placeOf(i, entry)} has the ${field} of keys[${first}]`);
      seen.set(entry[field], i);
    }
  }
  return parsed.data;
}

/**
 * Replaces the file in one step. A reader finds the old keys or the new ones. The new file has the old one's mode, and
 * its owner too if root replaces it, so that whoever read it can read it still. Only the owner may read a first file.
 */
export async function writeKeysFile(path: string, content: KeysFile): Promise<void> {
  const old = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  const fill = async (file: FileHandle): Promise<void> => {
    if (old !== null && process.getuid?.() === 0) await file.chown(old.uid, old.gid);
    if (old !== null) await file.chmod(old.mode & 0o777);
    await file.writeFile(`${JSON.stringify(content, null, 2)}\n`);
  };
  await replaceFile(path, fill, { mode: 0o600 });
}

function fault(path: string, what: string): AppError {
  return new AppError("usage", `The keys file ${path} ${what}. See docs/how-to/operate/keys-and-tenants.md.`);
}

function issueText(issue: z.core.$ZodIssue | undefined, json: unknown): string {
  const [list, index, ...rest] = issue?.path ?? [];
  const isInEntry = list === "keys" && typeof index === "number";
  const { path, what } = describeIssue(issue && isInEntry ? { ...issue, path: rest } : issue);
  const place = isInEntry
    ? `has a fault in ${placeOf(index, (json as { keys: unknown[] }).keys[index])}`
    : "is not as documented";
  return `${place}: ${path === "" ? "" : `"${path}" `}${what}`;
}

function placeOf(index: number, entry: unknown): string {
  const { id } = (entry ?? {}) as { id?: unknown };
  return `keys[${index}]${typeof id === "string" ? ` (${quote(id)})` : ""}`;
}
