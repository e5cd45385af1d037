/**
 * Reads the store's records page by page, so that a list of thousands does not block the event loop for running
 * streams.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError } from "../../errors.ts";
import { type Caller, maySee } from "../../keys/caller.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import { SHARED } from "../../store/tenant.ts";
import { listVisible } from "../../store/visible-names.ts";
import type { AppContext } from "../context.ts";
import { COMPARED_AT_ONCE } from "./shared-names.ts";

/** Reading so many takes about a millisecond. */
const PAGE = 100;

type Context = Pick<AppContext, "store" | "sharedStore" | "log">;

/**
 * The records that a caller sees after `after` in the order of their names, one page at a time. The event loop runs
 * between pages.
 */
export async function* adapterPages(
  context: Context,
  caller: Pick<Caller, "tenant" | "adapters">,
  after: string | undefined,
): AsyncGenerator<readonly AdapterRecord[], void, void> {
  let cursor = after;
  for (;;) {
    const upTo = await refreshPage(context, caller.tenant, cursor);
    const { records: found, next } = listVisible(context.store, caller.tenant, { limit: PAGE, after: cursor });
    const records = found.filter(({ name }) => upTo === undefined || name <= upTo);
    yield records.filter(({ name }) => maySee(caller, name));
    if (next === undefined && upTo === undefined) return;
    cursor = [next, upTo].filter((end) => end !== undefined).toSorted()[0];
    await nextTurn();
  }
}

/**
 * Makes the local copies of a page of a shared store's names as new as --store-refresh says.
 * @returns the name up to which that was done; undefined: all names
 */
async function refreshPage(context: Context, tenant: string, after: string | undefined): Promise<string | undefined> {
  const names = context.sharedStore?.names;
  if (!names) return undefined;
  const owners = [tenant, SHARED];
  const lists = await Promise.all(owners.map((owner) => names.list(owner, { after, limit: PAGE })));
  const ends = lists.flatMap(({ hasMore, last }) => (hasMore && last !== undefined ? [last] : []));
  const upTo = ends.toSorted()[0];
  const wanted = owners.flatMap((owner, i) => {
    const copies = context.store
      .namesOf(owner)
      .list({ after, limit: PAGE })
      .records.map(({ name }) => name);
    const inPage = [...new Set([...(lists[i]?.names ?? []), ...copies])].filter(
      (name) => upTo === undefined || name <= upTo,
    );
    return inPage.map((name) => ({ tenant: owner, name }));
  });
  for (let first = 0; first < wanted.length; first += COMPARED_AT_ONCE)
    await Promise.all(
      wanted.slice(first, first + COMPARED_AT_ONCE).map(async (owned) => {
        try {
          await names.refresh(owned);
        } catch (error) {
          // One damaged adapter must not hide the others.
          if (!(error instanceof AppError) || error.code === "store_unavailable") throw error;
          context.log.warn(
            { adapter: owned.name, owner: owned.tenant, reason: error.message },
            "an adapter is not listed",
          );
        }
      }),
    );
  return upTo;
}
