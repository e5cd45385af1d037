/**
 * The object that represents a name in a store: the content that the name points to, and those that it pointed to
 * earlier. The object is a line of JSON. The content itself follows if it is small, so that reading a name takes one
 * request. Pure. Source: docs/reference/store.md.
 */
import { z } from "zod";
import { describeIssue } from "../../errors.ts";
import type { Card } from "../../adapter/adapter.ts";
import { qualifiedName, type OwnedName } from "../tenant.ts";

/** A larger content is stored only as an object of its own. */
export const MAX_INLINE_BYTES = 256 * 2 ** 10;
/** The line of JSON. The card of the adapter, which is in it, has at most 65,536 bytes. */
export const MAX_HEADER_BYTES = 2 ** 18;
/** An object of at most so many bytes is the mark of a deleted name. Every other pointer is larger. */
export const MAX_TOMBSTONE_BYTES = 160;

const FORMAT = "mosara-name";
const VERSION = 1;
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().nonnegative();
const contentSchema = z.object({ generation: hash, object: z.string().min(1).max(1024), bytes: count, created: count });
const headerSchema = z.discriminatedUnion("deleted", [
  z.object({ format: z.literal(FORMAT), version: z.literal(VERSION), deleted: z.literal(true), write: z.string() }),
  contentSchema.extend({
    format: z.literal(FORMAT),
    version: z.literal(VERSION),
    deleted: z.literal(false),
    write: z.string(),
    tenant: z.string(),
    name: z.string(),
    card: z.record(z.string(), z.unknown()),
    earlier: z.array(contentSchema).max(1000),
    inline: z.boolean(),
  }),
]);

/** A content of a name. */
export interface PublishedContent {
  /** SHA-256 of the content, hex. */
  readonly generation: string;
  /** Key of the object that holds it. No other name has the same key. */
  readonly object: string;
  readonly bytes: number;
  /** When the name began to point to it, in unix seconds by the clock of the writer. */
  readonly created: number;
}

/** The contents that a name points to, now and earlier. */
export interface Pointer extends PublishedContent {
  /** Differs in every write, so that a writer recognises its own. */
  readonly write: string;
  readonly card: Card;
  /** From the newest to the oldest. */
  readonly earlier: readonly PublishedContent[];
}

/** A pointer as it was read, perhaps with its content, which is not checked yet. null: the name is deleted. */
export interface PointerRead {
  readonly write: string;
  readonly pointer: Pointer | null;
  readonly inline: Uint8Array | null;
}

/** Keys of all names of an owner begin with it. */
export const namesPrefix = (tenant: string): string => `names/${tenant}/`;

export const pointerKey = (owned: OwnedName): string => `names/${qualifiedName(owned)}`;

/** Key of a new content. `write` makes it a key of its own, so nobody removes it with an earlier content. */
export const contentKey = (owned: OwnedName, generation: string, write: string): string =>
  `contents/${qualifiedName(owned)}/${generation}-${write}`;

/** The bytes of the object. */
export function encodePointer(owned: OwnedName, pointer: Pointer, content: Uint8Array): Uint8Array {
  const isInline = content.byteLength <= MAX_INLINE_BYTES;
  const { tenant, name } = owned;
  const header = { format: FORMAT, version: VERSION, deleted: false, tenant, name, ...pointer, inline: isInline };
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), isInline ? content : new Uint8Array()]);
}

export function encodeTombstone(write: string): Uint8Array {
  return Buffer.from(`${JSON.stringify({ format: FORMAT, version: VERSION, deleted: true, write })}\n`);
}

/** @returns the reason why it cannot be read, as the end of a sentence, if it cannot */
export function decodePointer({ tenant, name }: OwnedName, bytes: Uint8Array): PointerRead | string {
  const end = bytes.subarray(0, MAX_HEADER_BYTES).indexOf(10);
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes.subarray(0, Math.max(0, end))).toString());
  } catch {
    return "it does not begin with a line of JSON";
  }
  const { success, data, error } = headerSchema.safeParse(json);
  if (!success) return `${describeIssue(error.issues[0]).path} is not as expected`;
  if (data.deleted) return { write: data.write, pointer: null, inline: null };
  if (data.tenant !== tenant || data.name !== name) return `it is the pointer of ${data.tenant}/${data.name}`;
  const { write, generation, object, bytes: size, created, card, earlier, inline } = data;
  const rest = bytes.subarray(end + 1);
  if (inline && rest.byteLength !== size) return `it has ${rest.byteLength} of the ${size} bytes of its content`;
  const pointer = { write, generation, object, bytes: size, created, card: card as Card, earlier };
  return { write, pointer, inline: inline ? rest : null };
}
