/** One check of `mosara doctor`, and how a failure in it becomes its result. */
import { AppError } from "../../errors.ts";

export interface Check {
  readonly name: string;
  /** fail: a server would not start, or would answer wrongly. warn: it would be slow, or fail later. */
  readonly status: "ok" | "warn" | "fail";
  readonly found: string;
  /** What to do; null: nothing. */
  readonly mend: string | null;
}

export function ok(name: string, found: string): Check {
  return { name, status: "ok", found, mend: null };
}

export function warn(name: string, found: string, mend: string): Check {
  return { name, status: "warn", found, mend };
}

export function failed(name: string, found: string, mend: string): Check {
  return { name, status: "fail", found, mend };
}

/** The check's result, or its failure. Messages of our own errors say what to do. */
export async function attempt(name: string, check: () => Check | Promise<Check>, mend: string): Promise<Check> {
  try {
    return await check();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { name, status: "fail", found: message, mend: error instanceof AppError ? null : mend };
  }
}

/** Bytes for readers, such as `1.5 GiB`. */
export function shownBytes(bytes: number): string {
  const gib = bytes / 2 ** 30;
  return gib >= 1 ? `${gib.toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}
