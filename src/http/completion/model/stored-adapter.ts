/** Finds a stored adapter by its name for one request, and holds its content until the request has ended. */
import { AppError } from "../../../errors.ts";
import type { Caller } from "../../../keys/caller.ts";
import type { AdapterRecord } from "../../../store/adapter-record.ts";
import { qualifiedName } from "../../../store/tenant.ts";
import { findAdapter } from "../../adapters/find-adapter.ts";
import type { AppContext } from "../../context.ts";
import { quoteName } from "../../quote-name.ts";

export interface HeldAdapter {
  readonly record: AdapterRecord;
  /** May be called more than once. */
  readonly release: () => void;
}

/** @param param the field that names it @throws {AppError} adapter_not_found, adapter_incompatible. */
export function holdAdapter(context: AppContext, caller: Caller, name: string, param: string): HeldAdapter {
  const record = findAdapter(context, caller, name);
  if (!record) throw adapterNotFound(name, param);
  return holdRecord(context, record);
}

/** @throws {AppError} adapter_incompatible. */
export function holdRecord(context: AppContext, record: AdapterRecord): HeldAdapter {
  const misfit = context.base.fits.misfitOf(record);
  if (misfit) throw new AppError(misfit.code, misfit.message);
  const { generation } = record;
  context.placements.follow(qualifiedName(record), generation);
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
  const message = `There is no adapter ${quoteName(name)}. List them with GET /v1/adapters.`;
  return new AppError("adapter_not_found", message, { param });
}
