/** Opens the store of --store, and reports its look-ups and faults to the metrics and the log. */
import type { Logger } from "pino";
import type { ConfigOf } from "../../config/commands.ts";
import { AppError } from "../../errors.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { type ObjectStore, StoreRefusal } from "../../object-store/object-store.ts";
import type { PeftDirectory } from "../../adapter/peft.ts";
import { openObjects } from "../../object-store/open-objects.ts";
import { RequestPolicy } from "../../object-store/request-policy.ts";
import type { Placements } from "../../placement/placements.ts";
import type { AdapterStore } from "../../store/adapter-store.ts";
import { SharedStore } from "../../store/published/shared-store.ts";
import { qualifiedName } from "../../store/tenant.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { HubObjects } from "./hub-objects.ts";

type Config = Pick<
  ConfigOf<"serve">,
  | "store"
  | "storeRefresh"
  | "storeTimeout"
  | "storeMaxStale"
  | "storeCacheBytes"
  | "maxAdapterBytes"
  | "keepGenerations"
>;

interface Parts {
  readonly store: AdapterStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly placements: Placements;
  /** Makes a `.mosara` file of a PEFT directory. */
  readonly convertPeft: (files: PeftDirectory) => Promise<Uint8Array>;
}

/**
 * @returns null without --store
 * @throws {AppError} usage: the store refuses this server. A store that does not answer is only logged.
 */
export async function openSharedStore(config: Config, parts: Parts, cleanup: Cleanup): Promise<SharedStore | null> {
  const { store: url } = config;
  if (url === null) return null;
  const { store, log, metrics, placements } = parts;
  const policy = new RequestPolicy(url, {
    timeoutMs: config.storeTimeout * 1000,
    onDone: (operation, isOk, seconds) => metrics.recordStoreRequest(operation, isOk, seconds),
  });
  const objects = url.startsWith("hf:")
    ? new HubObjects(url, policy, {
        ...parts,
        maxAdapterBytes: config.maxAdapterBytes,
        refreshMs: config.storeRefresh * 1000,
      })
    : openObjects(url, policy);
  await tryOnce(objects, log);
  const shared = new SharedStore(objects, store, {
    refreshMs: config.storeRefresh * 1000,
    maxStaleMs: config.storeMaxStale * 1000,
    maxCacheBytes: config.storeCacheBytes,
    maxAdapterBytes: config.maxAdapterBytes,
    keepGenerations: config.keepGenerations,
    onLookup: (lookup) => metrics.recordStoreLookup(lookup),
    onFault: (adapter, error) => log.warn({ adapter, reason: (error as Error).message }, "the adapter store failed"),
    onChange: (owned, generation) => placements.follow(qualifiedName(owned), generation),
  });
  return cleanup.use(shared);
}

/** Finds wrong settings at the start. @throws {AppError} usage */
async function tryOnce(objects: ObjectStore, log: Logger): Promise<void> {
  try {
    await objects.get("names/none/none", { maxBytes: 2 ** 20 });
    log.info({ store: objects.url }, "adapters are shared through a store");
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (error instanceof StoreRefusal) throw new AppError("usage", `--store: ${error.message}`, { cause: error });
    log.error(
      { store: objects.url, reason: error.message },
      "the adapter store does not answer; only cached adapters are served",
    );
  }
}
