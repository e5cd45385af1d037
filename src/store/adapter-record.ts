/**
 * The store's data about a name, separate from the adapter's bytes, so that a list decodes no adapter. Also the rule
 * for names. Knows nothing of LMDB. Source: docs/reference/http-api.md, "Adapters".
 */
import type { Adapter, Card, Method } from "../adapter/adapter.ts";
import { numParams } from "../adapter/adapter.ts";
import { AppError, quote } from "../errors.ts";

/** A linear layer an adapter binds to, without its tensors. */
export interface RecordTarget {
  readonly name: string;
  readonly k: number;
  readonly dIn: number;
  readonly dOut: number;
  /** mo-sara only. */
  readonly basisId?: string;
}

/** A name and the adapter it points to, as plain data. */
export interface AdapterRecord {
  /** The owner of the name: a tenant, or `shared`. */
  readonly tenant: string;
  readonly name: string;
  /** SHA-256 of the file, hex. */
  readonly generation: string;
  readonly method: Method;
  readonly heads: number;
  readonly numParams: number;
  /** Size of the file. */
  readonly bytes: number;
  readonly baseId: string;
  /** Records of the same kind usually share one object. */
  readonly targets: readonly RecordTarget[];
  /** The adapter's own end tokens; absent if it has none. */
  readonly endTokenIds?: readonly number[];
  readonly card: Card;
  /** When the name began to point to this generation, in unix seconds. */
  readonly created: number;
  /** Set for a copy of a name in the store of --store. */
  readonly isPublished?: true;
  /** Set for an earlier generation, to which the name no longer points. */
  readonly isEarlier?: true;
}

/** The record of a name that will point to `adapter` from now on. */
export function recordOf(
  { tenant, name }: Pick<AdapterRecord, "tenant" | "name">,
  generation: string,
  bytes: number,
  adapter: Adapter,
): AdapterRecord {
  const { method, heads, baseId, endTokenIds, card } = adapter;
  const ends = endTokenIds === undefined ? {} : { endTokenIds };
  const targets = adapter.targets.map(({ name: target, k, dIn, dOut, basisId }) => ({
    name: target,
    k,
    dIn,
    dOut,
    ...(basisId === undefined ? {} : { basisId }),
  }));
  return {
    tenant,
    name,
    generation,
    method,
    heads,
    numParams: numParams(adapter),
    bytes,
    baseId,
    targets,
    ...ends,
    card,
    created: unixNow(),
  };
}

/** Unix time in whole seconds. */
export function unixNow(): number {
  return Math.floor(Date.now() / 1000);
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** The names that a fine-tuning job gives: `ft:<base>:<tenant>:<suffix>:<id>`, and `…:ckpt-step-<step>`. */
const JOB_NAME = /^ft(?::[A-Za-z0-9._-]*){4}(?::ckpt-step-\d{1,9})?$/;
const MAX_JOB_NAME = 200;

/** Whether an adapter may have this name. */
export function isAdapterName(name: string): boolean {
  const isName = NAME.test(name) || (JOB_NAME.test(name) && name.length <= MAX_JOB_NAME);
  return isName && !name.includes("..");
}

/** Checks a name from a caller. @throws AppError invalid_request. */
export function assertAdapterName(name: string): void {
  if (isAdapterName(name)) return;
  const found = name.length <= 140 ? name : `${name.slice(0, 140)}…`;
  throw new AppError(
    "invalid_request",
    `${quote(found)} is not a name for an adapter. A name begins with a letter or digit. It has at most 128 characters: letters, digits, ".", "_" and "-", without "..".`,
  );
}
