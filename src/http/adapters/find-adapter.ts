/**
 * Finds stored adapters by the names that callers send. A caller sees the adapters of its tenant and the shared ones,
 * if its key does not name fewer.
 */
import { type Caller, maySee } from "../../keys/caller.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import { findVisible, visibleWithGeneration } from "../../store/visible-names.ts";
import type { AppContext } from "../context.ts";

/** The record of a name; undefined if the caller sees none, or if the text cannot be a name. */
export function findAdapter(
  { store }: Pick<AppContext, "store">,
  caller: Pick<Caller, "tenant" | "adapters">,
  name: string,
): AdapterRecord | undefined {
  const found = findVisible(store, caller.tenant, name);
  return maySee(caller, name) ? found : undefined;
}

/** An adapter with this content that the caller sees. */
export function findGeneration(
  { store }: Pick<AppContext, "store">,
  caller: Pick<Caller, "tenant" | "adapters">,
  generation: string,
): AdapterRecord | undefined {
  return visibleWithGeneration(store, caller.tenant, generation).find(({ name }) => maySee(caller, name));
}

/** Whether the record's adapter fits the served base. */
export function isCompatible({ base }: Pick<AppContext, "base">, record: AdapterRecord): boolean {
  return base.fits.misfitOf(record) === null;
}
