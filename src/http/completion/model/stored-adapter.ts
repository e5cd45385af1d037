/** Finds a stored adapter by its name for one request, and holds its content until the request has ended. */
import { AppError } from "../../../errors.ts";
import type { Caller } from "../../../keys/caller.ts";
import type { AdapterRecord } from "../../../store/adapter-record.ts";
import { qualifiedName } from "../../../store/tenant.ts";
import { findAdapter, findAlias, notFoundMessage } from "../../adapters/find-adapter.ts";
import { pickTarget } from "../../../rollout/pick-target.ts";
import type { Chosen } from "../../../rollout/rollouts.ts";
import { CURRENT, type Version } from "../../../store/version-reference.ts";
import type { AppContext } from "../../context.ts";

export interface HeldAdapter {
  readonly record: AdapterRecord;
  /** The alias that was named, and its target; absent: the adapter itself was named. */
  readonly chosen?: Chosen;
  /** May be called more than once. */
  readonly release: () => void;
}

/** The caller, and the key that decides between the targets of an alias. */
export interface Asker {
  readonly caller: Caller;
  readonly aliasKey: string;
}

/**
 * @param text the name of an adapter, of one of its generations, or of an alias
 * @param param the field that names it
 * @throws {AppError} adapter_not_found, ambiguous_generation, adapter_incompatible.
 */
export function holdAdapter(
  context: AppContext,
  { caller, aliasKey }: Asker,
  text: string,
  param: string,
): HeldAdapter {
  const record = findAdapter(context, caller, text);
  if (record) return holdRecord(context, record);
  const alias = findAlias(context, caller, text);
  if (!alias) throw adapterNotFound(text, param);
  const target = pickTarget(alias, aliasKey);
  const version: Version = target.generation === null ? CURRENT : { kind: "prefix", prefix: target.generation };
  const found = context.store.namesOf(alias.tenant).find(target.name, version);
  if (!found) throw adapterNotFound(text, param); // deleted between the two reads
  const chosen = { alias, target, generation: found.generation };
  const held = holdRecord(context, found);
  context.rollouts.note(chosen);
  return { ...held, chosen };
}

/** @throws {AppError} adapter_incompatible. */
export function holdRecord(context: AppContext, record: AdapterRecord): HeldAdapter {
  const misfit = context.base.fits.misfitOf(record);
  if (misfit) throw new AppError(misfit.code, misfit.message);
  const { generation } = record;
  if (record.isEarlier !== true) context.placements.follow(qualifiedName(record), generation);
  context.store.contents.acquire(generation);
  let isHeld = true;
  const release = () => {
    if (isHeld) context.store.contents.release(generation);
    isHeld = false;
  };
  return { record, release };
}

/** The error for a name that no adapter has. @param param the field that gave it */
export function adapterNotFound(name: string, param: string): AppError {
  return new AppError("adapter_not_found", notFoundMessage(name), { param });
}
