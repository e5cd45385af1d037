/**
 * Finds stored adapters by the names that callers send. A caller sees the adapters of its tenant and the shared ones,
 * if its key does not name fewer.
 */
import { type Caller, maySee } from "../../keys/caller.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import { findVisible, visibleWithGeneration } from "../../store/visible-names.ts";
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
