/**
 * The object that holds all aliases of an owner in a shared store. One object makes a change of an alias one
 * conditional write, and lets a server know within one request that a name is no alias. Pure. Source:
 * docs/reference/store.md.
 */
import { z } from "zod";
import { describeIssue } from "../../errors.ts";
import type { StoredAlias } from "../aliases/alias-record.ts";

/** Aliases of an owner: at most 1000, with at most 32 targets each. */
export const MAX_LIST_BYTES = 2 ** 24;

const FORMAT = "mosara-aliases";
const VERSION = 1;
const count = z.number().int().nonnegative();
const target = z.object({ name: z.string(), generation: z.string().nullable(), weight: z.number().nonnegative() });
const rule = z.object({
  maxErrorShare: z.number().exactOptional(),
  maxDrift: z.number().exactOptional(),
  minRequests: count,
  windowSeconds: count,
});
const takenOut = z.object({
  target: z.string(),
  generation: z.string(),
  reason: z.enum(["errors", "drift"]),
  // JSON has no Infinity.
  measured: z
    .number()
    .nullable()
    .transform((value) => value ?? Infinity),
  at: count,
});
const alias = z.object({
  targets: z.array(target).min(1),
  previous: z.array(target).nullable(),
  rule: rule.nullable(),
  takenOut: takenOut.nullable(),
  created: count,
  updated: count,
});
const listSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  write: z.string(),
  tenant: z.string(),
  aliases: z.record(z.string(), alias),
});

/** All aliases of an owner by name, as one write left them. */
export interface AliasList {
  /** Differs in every write, so that a writer recognises its own. */
  readonly write: string;
  readonly aliases: ReadonlyMap<string, StoredAlias>;
}

export const aliasListKey = (tenant: string): string => `aliases/${tenant}`;

export function encodeAliasList(tenant: string, { write, aliases }: AliasList): Uint8Array {
  const list = { format: FORMAT, version: VERSION, write, tenant, aliases: Object.fromEntries(aliases) };
  return Buffer.from(`${JSON.stringify(list)}\n`);
}

/** @returns the reason why it cannot be read, as the end of a sentence, if it cannot */
export function decodeAliasList(tenant: string, bytes: Uint8Array): AliasList | string {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return "it is no JSON";
  }
  const { success, data, error } = listSchema.safeParse(json);
  if (!success) return `${describeIssue(error.issues[0]).path} is not as expected`;
  if (data.tenant !== tenant) return `it is the list of ${data.tenant}`;
  return { write: data.write, aliases: new Map(Object.entries(data.aliases)) };
}
