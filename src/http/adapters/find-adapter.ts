/** Finds stored adapters by the names that callers send. */
import { type AdapterRecord, assertAdapterName } from "../../store/adapter-record.ts";
import type { AppContext } from "../context.ts";

/** The record of a name; undefined if there is none, or if the text cannot be a name. */
export function findAdapter(context: Pick<AppContext, "store">, name: string): AdapterRecord | undefined {
  try {
    assertAdapterName(name);
  } catch {
    return undefined; // no adapter can have such a name
  }
  return context.store.get(name);
}

/** Whether the record's adapter fits the served base. */
export function isCompatible({ base }: Pick<AppContext, "base">, record: AdapterRecord): boolean {
  return base.fits.misfitOf(record) === null;
}
