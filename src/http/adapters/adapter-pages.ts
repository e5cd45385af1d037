/** The store's records page by page: a list of thousands must not keep the event loop from the streams that run. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { AdapterStore } from "../../store/adapter-store.ts";

/** About a millisecond's worth. */
const PAGE = 100;

/** Records behind `after` in the order of their names, a page at a time, the event loop running in between. */
export async function* adapterPages(
  store: Pick<AdapterStore, "list">,
  after: string | undefined,
): AsyncGenerator<readonly AdapterRecord[], void, void> {
  let cursor = after;
  for (;;) {
    const { records, hasMore } = store.list({ limit: PAGE, ...(cursor === undefined ? {} : { after: cursor }) });
    yield records;
    if (!hasMore) return;
    cursor = records.at(-1)?.name;
    await nextTurn();
  }
}
