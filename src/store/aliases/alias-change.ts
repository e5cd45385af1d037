/** How an alias changes, wherever it is kept: on this server, or in a store that servers share. Pure. */
import { AppError } from "../../errors.ts";
import type { Precondition } from "../precondition.ts";
import {
  type AliasRecord,
  type AliasTarget,
  aliasTag,
  type RollbackRule,
  type StoredAlias,
  type TakenOut,
} from "./alias-record.ts";

/** Each change of an adapter may read all aliases of its owner. */
const MAX_ALIASES = 1000;

/** The new content of an alias. */
export interface AliasChange {
  readonly targets: readonly AliasTarget[];
  readonly rule?: RollbackRule | null;
  readonly takenOut?: TakenOut;
}

/** Changes aliases of one owner. The methods are as those of `Aliases`. */
export interface AliasWriter {
  put(name: string, change: AliasChange, precondition?: Precondition): Promise<AliasRecord>;
  change(name: string, precondition: Precondition, change: (before: AliasRecord) => AliasChange): Promise<AliasRecord>;
  delete(name: string, precondition?: Precondition): Promise<AliasRecord>;
}

/** The alias after a change. @param now unix time in seconds */
export function changedAlias(before: AliasRecord | undefined, change: AliasChange, now: number): StoredAlias {
  const { targets, rule = before?.rule ?? null, takenOut } = change;
  const isChanged = before !== undefined && aliasTag({ targets, rule: null }) !== aliasTag({ ...before, rule: null });
  return {
    targets,
    previous: isChanged ? before.targets : (before?.previous ?? null),
    rule,
    takenOut: takenOut ?? (isChanged ? null : (before?.takenOut ?? null)),
    created: before?.created ?? now,
    updated: now,
  };
}

/** @param numAliases of the owner @throws {AppError} name_in_use, quota_exceeded */
export function assertMayBegin(name: string, numAliases: number, isAdapter: boolean): void {
  if (isAdapter) throw new AppError("name_in_use", `"${name}" is an adapter. An alias needs a name of its own.`);
  if (numAliases >= MAX_ALIASES)
    throw new AppError("quota_exceeded", `There are ${MAX_ALIASES} aliases, which is the maximum. Delete one first.`);
}

/** @throws {AppError} alias_not_found */
export function missingAlias(name: string): never {
  throw new AppError("alias_not_found", `There is no alias "${name}". List them with GET /v1/aliases.`);
}
