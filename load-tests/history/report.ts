/** The table at the end of a run. */
import type { History } from "./history.ts";
import { OPERATION_KINDS } from "./operation.ts";

/** Largest number of faults that are printed. */
const MAX_PRINTED = 20;

/** Disturbances that need a disk of their own. */
const OF_DISK: readonly string[] = ["disk-full", "read-only"];
/** Disturbances that kill a server or an engine. */
const KILLS: readonly string[] = ["server", "engine", "read-only"];

/** @param hasDisk whether the store's file system could be filled and made read-only */
export function reportOf(history: History, faults: readonly string[], hasDisk: boolean): string {
  const { disturbed, errors, replayed, minutes } = history.totals;
  const rows: [string, string | number][] = [["operations", history.numOperations]];
  for (const kind of OPERATION_KINDS) {
    const { all, done } = history.count(kind);
    rows.push([kind, `${all}, of which ${done} acknowledged`]);
  }
  const isLeftOut = (kind: string): boolean => !hasDisk && OF_DISK.includes(kind);
  for (const [kind, times] of Object.entries(disturbed))
    rows.push([kind, `${times} times${isLeftOut(kind) ? ", without the disk" : ""}`]);
  const numKills = KILLS.reduce((sum, kind) => sum + (disturbed[kind] ?? 0), 0);
  rows.push(["kills", numKills]);
  for (const [code, times] of Object.entries(errors)) rows.push([`error ${code}`, times]);
  rows.push(["answers replayed", replayed], ["minutes of all runs", minutes.toFixed(1)], ["faults", faults.length]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    ...rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`),
    ...faults.slice(0, MAX_PRINTED).map((fault) => `FAULT ${fault}\n`),
  ].join("");
}
