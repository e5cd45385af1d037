/**
 * Bytes by key in a store outside of this machine. The interface has only what every S3 can do, so that one class a
 * kind of store is enough. Knows nothing of adapters.
 */
import { AppError } from "../errors.ts";

export interface StoredObject {
  readonly bytes: Uint8Array;
  /** Opaque text that is different for different content. */
  readonly etag: string;
}

/** A write happens only if it holds. null: it always does. */
export type WriteCondition = { readonly ifMatch: string } | { readonly ifNoneMatch: "*" } | null;

/** The tag of the new object. conflict: the condition did not hold. */
export type Written = { readonly etag: string } | "conflict";

export interface ReadOptions {
  /** The tag of a version that the caller has. The object is read only if it has another tag. */
  readonly etag?: string | undefined;
  /** A larger object is refused. */
  readonly maxBytes: number;
}

export interface ListedObject {
  readonly key: string;
  /** Size of the object. */
  readonly bytes: number;
}

/** All methods throw AppError store_unavailable (it did not answer in time, or refused) or store_damaged. */
export interface ObjectStore {
  /** Its address in messages, without secrets. */
  readonly url: string;
  readonly isWritable: boolean;
  /** Whether a list of one object takes about as long as a read, and has all objects. */
  readonly hasQuickLists: boolean;
  get(key: string, options: ReadOptions): Promise<StoredObject | "absent" | "unchanged">;
  put(key: string, bytes: Uint8Array, condition: WriteCondition): Promise<Written>;
  /** Removing an object that does not exist succeeds. */
  remove(key: string): Promise<void>;
  /**
   * Up to `limit` objects whose keys begin with `prefix`, in the order of the keys, beginning after the key `after`.
   */
  list(
    prefix: string,
    range: { readonly after?: string | undefined; readonly limit: number },
  ): Promise<{ readonly objects: readonly ListedObject[]; readonly hasMore: boolean }>;
  /** Whether the store obeys conditions of writes. This is tried once, with an object made for the purpose. */
  hasConditionalWrites(): Promise<boolean>;
}

/** The store did not answer in time, or not as it should. */
export function unavailable(url: string, reason: string, cause?: unknown): AppError {
  return new AppError(
    "store_unavailable",
    `The adapter store ${url} cannot be used now: ${reason}. Try again. The server still serves cached adapters.`,
    { retryAfterSeconds: 1, ...(cause === undefined ? {} : { cause }) },
  );
}

/** The store answers, but refuses: the credentials or the bucket are wrong. Trying again does not help. */
export class StoreRefusal extends AppError {
  constructor(url: string, reason: string) {
    super(
      "store_unavailable",
      `The adapter store ${url} refuses this server: ${reason}. Check its address and the credentials.`,
    );
  }
}

/** The store is a copy that nobody can change through this server. */
export function readOnly(url: string): AppError {
  return new AppError("store_read_only", `The adapter store ${url} is read only. Change the adapter there.`);
}

/** The store answers with something that cannot be right. */
export function damaged(url: string, what: string): AppError {
  return new AppError("store_damaged", `The adapter store ${url} is damaged: ${what}. Upload the adapter again.`);
}
