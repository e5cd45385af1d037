/**
 * Decides which stored adapters fit the served base. Thousands of records share one list of targets. Comparing that
 * list takes longer than all other work on a record, so each list is compared once.
 */
import { type Adapter, type BaseSignature, assertFits } from "../../adapter/adapter.ts";
import { AppError } from "../../errors.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";

export class AdapterFits {
  readonly #signature: BaseSignature;
  /** Results for records with the same targets, by method and largest end token. */
  readonly #found = new WeakMap<AdapterRecord["targets"], Map<string, AppError | null>>();

  constructor(signature: BaseSignature) {
    this.#signature = signature;
  }

  /** The reason why the record's adapter does not fit the base; null where it fits. */
  misfitOf(record: AdapterRecord): AppError | null {
    // The base id is compared first, so this is quick.
    if (record.baseId !== this.#signature.baseId) return this.#compare(record);
    const kind = `${record.method} ${record.endTokenIds?.at(-1) ?? ""}`;
    const found = this.#found.get(record.targets);
    const known = found?.get(kind);
    if (known !== undefined) return known;
    const misfit = this.#compare(record);
    if (found) found.set(kind, misfit);
    else this.#found.set(record.targets, new Map([[kind, misfit]]));
    return misfit;
  }

  #compare(record: AdapterRecord): AppError | null {
    try {
      assertFits(asAdapter(record), this.#signature);
      return null;
    } catch (error) {
      if (error instanceof AppError && error.code === "adapter_incompatible") return error;
      throw error;
    }
  }
}

/** The record as an adapter without tensors. Checks of fit and placement do not read tensors. */
export function asAdapter(record: AdapterRecord): Adapter {
  return { ...record, router: "none", targets: record.targets.map((target) => ({ ...target, tensors: {} })) };
}
