/** Reads the store's records page by page, so that a list of thousands does not block the event loop for running streams. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import { type Caller, maySee } from "../../keys/caller.ts";
import type { AdapterStore } from "../../store/adapter-store.ts";
import { listVisible } from "../../store/visible-names.ts";

/** Reading so many takes about a millisecond. */
const PAGE = 100;

/** The records that a caller sees after `after` in the order of their names, one page at a time. The event loop runs between pages. */
export async function* adapterPages(
  store: AdapterStore,
  caller: Pick<Caller, "tenant" | "adapters">,
  after: string | undefined,
): AsyncGenerator<readonly AdapterRecord[], void, void> {
  let cursor = after;
  for (;;) {
    const { records, next } = listVisible(store, caller.tenant, { limit: PAGE, after: cursor });
    yield records.filter(({ name }) => maySee(caller, name));
    if (next === undefined) return;
    cursor = next;
    await nextTurn();
  }
}
