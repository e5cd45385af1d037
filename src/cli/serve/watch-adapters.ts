/**
 * The --adapters directory of a server. It is imported at the start
 * and watched afterwards; changes go to the metrics and the log.
 */
import { realpath } from "node:fs/promises";
import { basename } from "node:path";
import type { Base } from "../../base/base.ts";
import { logChange } from "../../http/adapters/log-change.ts";
import type { AppContext } from "../../http/context.ts";
import { openAdapterDirectory } from "../../store/directory/adapter-directory.ts";
import type { DirectoryEvent } from "../../store/directory/directory-options.ts";
import { qualifiedName, SHARED } from "../../store/tenant.ts";
import { peftConverter } from "../shared/peft-converter.ts";

type Parts = Pick<AppContext, "store" | "log" | "metrics" | "placements"> & { readonly base: Base };

interface WatchOptions {
  /** The served model's name, which no adapter may have. */
  readonly name: string;
  readonly maxAdapterBytes: number;
}

/** Imports the directory and watches it. The log has one line for the whole import at the start. */
export async function watchAdapters(dir: string, parts: Parts, { name, maxAdapterBytes }: WatchOptions) {
  const { store, log, metrics, placements, base } = parts;
  const counts = new Map<DirectoryEvent["outcome"], number>();
  let isStarting = true;
  const onEvent = ({ path, outcome, from, error }: DirectoryEvent) => {
    metrics.recordAdapterLoad("directory", outcome === "failed" ? "error" : "ok");
    const adapter = basename(path, ".mosara");
    if (outcome === "failed") log.warn({ path, reason: error?.message }, "an adapter file was not imported");
    else if (isStarting) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    else logOutcome(parts, adapter, outcome, from);
    if (outcome === "replaced" || outcome === "removed") {
      const name = qualifiedName({ tenant: SHARED, name: adapter });
      placements.follow(name, store.namesOf(SHARED).get(adapter)?.generation);
    }
  };
  const root = await realpath(dir).catch(() => dir); // openAdapterDirectory reports the problem
  const directory = await openAdapterDirectory(dir, store, {
    onEvent,
    reservedNames: new Set([name]),
    maxBytes: maxAdapterBytes,
    convertPeft: peftConverter(
      base,
      once((path, notice) => log.warn({ path }, notice)),
    ),
  });
  isStarting = false;
  log.debug({ directory: root, ...Object.fromEntries(counts) }, "adapters imported");
  return { root, directory };
}

/** A directory is read again at every request to load it, so each of its notices is logged once. */
function once(note: (path: string, notice: string) => void): typeof note {
  const seen = new Set<string>();
  return (path, notice) => {
    const key = `${path}\n${notice}`;
    if (!seen.has(key)) note(path, notice);
    seen.add(key);
  };
}

function logOutcome(
  { log, store }: Parts,
  adapter: string,
  outcome: Exclude<DirectoryEvent["outcome"], "failed">,
  from: string | undefined,
): void {
  if (outcome === "kept") return; // the file is gone, and the name has already passed to another adapter
  const change = outcome === "removed" ? "deleted" : outcome;
  const to = store.namesOf(SHARED).get(adapter)?.generation;
  logChange(log, { adapter, owner: SHARED, change, from, to, source: "directory" });
}
