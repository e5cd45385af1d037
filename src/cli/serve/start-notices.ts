/** Notices on the adapters at a server's start: there are none, or some belong to another base. */
import type { AppContext } from "../../http/context.ts";
import { isCompatible } from "../../http/adapters/find-adapter.ts";

/** Number of names in a notice; further ones are counted. */
const NAMED = 20;
const MAX_RECORDS = 1000;

/** @param adaptersDir the directory of --adapters; null: none */
export function noteAdapters(context: AppContext, adaptersDir: string | null): void {
  const { base, log, store } = context;
  const records = store.first(MAX_RECORDS);
  const others = records.filter((record) => !isCompatible(context, record));
  if (others.length > 0)
    log.warn(
      {
        adapters: others.slice(0, NAMED).map(({ name }) => name),
        count: others.length,
        bases: [...new Set(others.map(({ baseId }) => baseId.slice(0, 8)))].slice(0, NAMED),
        base: base.signature.baseId.slice(0, 8),
      },
      "adapters do not fit this base. They stay listed, and requests for them get adapter_incompatible. Train or convert them for this base, or name their base as --model.",
    );
  if (others.length < records.length) return;
  log.warn(
    adaptersDir === null
      ? "no adapter is served, so every answer is the base's: name a directory of adapters with --adapters, or upload one with PUT /v1/adapters/{name}"
      : `no adapter is served, so every answer is the base's: none in the directory of --adapters (${adaptersDir}) fits`,
  );
}
