/**
 * Compares what an owner has in a shared store with its quota. Two servers at the same time may exceed it by one
 * adapter.
 */
import { AppError } from "../../errors.ts";
import type { NamesQuota } from "../owner-totals.ts";
import type { PublishedNames } from "./published-names.ts";

const PAGE = 1000;

/** @param added by the change @throws {AppError} quota_exceeded, store_unavailable */
export async function assertQuota(
  published: PublishedNames,
  tenant: string,
  quota: NamesQuota,
  added: { readonly isNew: boolean; readonly bytes: number },
): Promise<void> {
  const { adapters = Infinity, bytes: most = Infinity } = quota;
  const [names, bytes] = await Promise.all([
    added.isNew && adapters < Infinity ? countNames(published, tenant) : 0,
    most < Infinity ? sumBytes(published, tenant) : 0,
  ]);
  if (names < adapters && bytes + added.bytes <= most) return;
  throw new AppError(
    "quota_exceeded",
    `This tenant may keep ${shown(adapters)} adapters and ${shown(most)} bytes. It has ${adapters < Infinity ? `${names} adapters` : "adapters"} with ${bytes} bytes in the store, and this file would add ${added.bytes}. Delete an adapter first.`,
  );
}

const shown = (limit: number): string => (limit === Infinity ? "any number of" : `at most ${limit}`);

async function countNames(published: PublishedNames, tenant: string): Promise<number> {
  let count = 0;
  for await (const { names } of pages((range) => published.list(tenant, range))) count += names.length;
  return count;
}

/** Of all contents, earlier generations among them. */
async function sumBytes({ objects }: PublishedNames, tenant: string): Promise<number> {
  let sum = 0;
  const list = async (range: Range) => {
    const page = await objects.list(`contents/${tenant}/`, range);
    return { ...page, last: page.objects.at(-1)?.key };
  };
  for await (const page of pages(list)) sum += page.objects.reduce((total, { bytes }) => total + bytes, 0);
  return sum;
}

interface Range {
  readonly after?: string | undefined;
  readonly limit: number;
}

/** All pages of a list. @param list gives the place after which the next page begins as `last` */
async function* pages<Page extends { readonly hasMore: boolean; readonly last: string | undefined }>(
  list: (range: Range) => Promise<Page>,
): AsyncGenerator<Page> {
  for (let after: string | undefined; ;) {
    const page: Page = await list({ after, limit: PAGE });
    yield page;
    if (!page.hasMore || page.last === undefined) return;
    after = page.last;
  }
}
