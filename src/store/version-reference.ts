/**
 * Texts that name an adapter, or one generation of it: `name`, `name@<beginning of the generation>`, `name@-1`. Pure.
 * Source: docs/how-to/adapters/versions-and-aliases.md.
 */
import { AppError, quote } from "../errors.ts";
import { type AdapterRecord, assertAdapterName } from "./adapter-record.ts";

/** Which generation of a name is meant. `back: 1` is the one before the current one. */
export type Version =
  | { readonly kind: "current" }
  | { readonly kind: "back"; readonly steps: number }
  | { readonly kind: "prefix"; readonly prefix: string };

export const CURRENT: Version = { kind: "current" };

export interface Reference {
  readonly name: string;
  readonly version: Version;
}

const BACK = /^-([1-9]\d{0,3})$/;
const PREFIX = /^[0-9a-f]{1,64}$/i;

/** The parts of a text. No name contains an "@". undefined: what follows the "@" cannot be a version. */
export function parseReference(text: string): Reference | undefined {
  const at = text.indexOf("@");
  if (at < 0) return { name: text, version: CURRENT };
  const version = parseVersion(text.slice(at + 1));
  return version && { name: text.slice(0, at), version };
}

/** Checks a reference from a caller. @throws {AppError} invalid_request */
export function assertReference(text: string): void {
  const reference = parseReference(text);
  if (reference) return assertAdapterName(reference.name);
  throw new AppError(
    "invalid_request",
    `${quote(text)} names no generation. After the "@", write the beginning of a generation in hex, or "-1" for the one before the current one.`,
  );
}

/** The part after the "@"; undefined: it cannot be a version. */
export function parseVersion(text: string): Version | undefined {
  const steps = BACK.exec(text)?.[1];
  if (steps !== undefined) return { kind: "back", steps: Number(steps) };
  return PREFIX.test(text) ? { kind: "prefix", prefix: text.toLowerCase() } : undefined;
}

/**
 * The record that is meant.
 * @param records of one name: the current generation, then the earlier ones from the newest to the oldest
 * @throws {AppError} ambiguous_generation, naming the generations that begin so
 */
export function pickVersion<T extends Pick<AdapterRecord, "generation">>(
  name: string,
  version: Version,
  records: readonly T[],
): T | undefined {
  if (version.kind === "current") return records[0];
  if (version.kind === "back") return records[version.steps];
  const found = records.filter(({ generation }) => generation.startsWith(version.prefix));
  if (found.length <= 1) return found[0];
  const candidates = found.map(({ generation }) => `${name}@${generation}`).join(", ");
  throw new AppError(
    "ambiguous_generation",
    `"${name}@${version.prefix}" is the beginning of ${found.length} generations: ${candidates}. Write more of one of them.`,
  );
}
