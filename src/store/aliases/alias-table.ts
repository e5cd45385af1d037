/**
 * The adapters and generations that an owner's aliases need. All functions read rows, mostly within a caller's
 * transaction.
 */
import { AppError } from "../../errors.ts";
import { type AliasRecord, type AliasTarget, targetText } from "./alias-record.ts";
import { LAST, type Tables } from "../database.ts";

type Table = Pick<Tables, "aliases">;

export function aliasOf({ aliases }: Table, tenant: string, name: string): AliasRecord | undefined {
  const stored = aliases.get([tenant, name]);
  return stored && { ...stored, tenant, name };
}

/** All aliases of an owner, in the order of their names. */
export function aliasesOf({ aliases }: Table, tenant: string): AliasRecord[] {
  const range = { start: [tenant, ""], end: [tenant, LAST] } satisfies Record<string, [string, string]>;
  return Array.from(aliases.getRange(range), ({ key, value }) => ({ ...value, tenant, name: key[1] }));
}

/**
 * Generations of a name that aliases of its owner need, to answer or to be rolled back to. They are kept whatever the
 * policy says.
 */
export function pinnedGenerations(aliases: readonly AliasRecord[], name: string): ReadonlySet<string> {
  const targets = aliases.flatMap((alias) => [...alias.targets, ...(alias.previous ?? [])]);
  return new Set(targets.flatMap((target) => (target.name === name ? (target.generation ?? []) : [])));
}

/** @param alias of the name that an adapter is to get @throws {AppError} name_in_use */
export function assertNoAlias(name: string, alias: AliasRecord | undefined): void {
  if (!alias) return;
  throw new AppError(
    "name_in_use",
    `"${name}" is an alias. Choose another name, or delete it with DELETE /v1/aliases/${name}.`,
  );
}

/**
 * @param aliases of the owner
 * @param isNeeded whether an alias with this target needs the content that is to be deleted
 * @throws {AppError} generation_in_use, naming the aliases
 */
export function assertUnused(
  aliases: readonly AliasRecord[],
  name: string,
  isNeeded: (target: AliasTarget) => boolean,
): void {
  const users = aliases.filter(({ targets }) => targets.some((target) => target.name === name && isNeeded(target)));
  if (users.length === 0) return;
  const shown = users.slice(0, 10).map((alias) => {
    const target = alias.targets.find((one) => one.name === name && isNeeded(one));
    return `${alias.name} (${target ? targetText(target) : name})`;
  });
  throw new AppError(
    "generation_in_use",
    `"${name}" cannot be deleted, because aliases stand for it: ${shown.join(", ")}. Change or delete them first.`,
  );
}
