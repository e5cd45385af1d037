/**
 * Finds stored adapters by the names that callers send. A caller sees the adapters of its tenant and the shared ones,
 * if its key does not name fewer.
 */
import { quote } from "../../errors.ts";
import { type Caller, maySee } from "../../keys/caller.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import { parseReference } from "../../store/version-reference.ts";
import type { AliasRecord } from "../../store/aliases/alias-record.ts";
import { findVisible, findVisibleAlias, visibleWithGeneration } from "../../store/visible-names.ts";
import type { AppContext } from "../context.ts";

/**
 * The record of a name, or of one of its generations (`name@…`); undefined if the caller sees none, or if the text
 * cannot be a name. @throws {AppError} ambiguous_generation
 */
export function findAdapter(
  { store }: Pick<AppContext, "store">,
  caller: Pick<Caller, "tenant" | "adapters">,
  text: string,
): AdapterRecord | undefined {
  const [name = ""] = text.split("@", 1);
  return maySee(caller, name) ? findVisible(store, caller.tenant, text) : undefined;
}

/** The adapter's part of `base:adapter`, or the whole. */
export function adapterNameIn({ base }: Pick<AppContext, "base">, model: string): string {
  return model.startsWith(`${base.name}:`) ? model.slice(base.name.length + 1) : model;
}

/** An alias of this name. A key sees it if it sees all adapters that the alias stands for. */
export function findAlias(
  { store }: Pick<AppContext, "store">,
  caller: Pick<Caller, "tenant" | "adapters">,
  name: string,
): AliasRecord | undefined {
  const found = findVisibleAlias(store, caller.tenant, name);
  return found && maySeeAlias(caller, found) ? found : undefined;
}

export function maySeeAlias(caller: Pick<Caller, "adapters">, { name, targets, previous }: AliasRecord): boolean {
  const names = [name, ...targets.map((target) => target.name), ...(previous ?? []).map((target) => target.name)];
  return names.every((one) => maySee(caller, one));
}

/** An adapter with this content that the caller sees. */
export function findGeneration(
  { store }: Pick<AppContext, "store">,
  caller: Pick<Caller, "tenant" | "adapters">,
  generation: string,
): AdapterRecord | undefined {
  return visibleWithGeneration(store, caller.tenant, generation).find(({ name }) => maySee(caller, name));
}

/** The message of the error for a name, or a reference, that means no adapter. */
export function notFoundMessage(text: string): string {
  const at = text.indexOf("@");
  if (at < 0) return `There is no adapter ${quote(text)}. List them with GET /v1/adapters.`;
  const list = `GET /v1/adapters/${text.slice(0, Math.min(at, 128))}/versions lists the generations of a name.`;
  return parseReference(text) === undefined
    ? `${quote(text)} names no generation. After the "@", write the beginning of a generation in hex, or "-1" for the one before. ${list}`
    : `There is no adapter ${quote(text)}. ${list}`;
}

/** Whether the record's adapter fits the served base. */
export function isCompatible({ base }: Pick<AppContext, "base">, record: AdapterRecord): boolean {
  return base.fits.misfitOf(record) === null;
}
