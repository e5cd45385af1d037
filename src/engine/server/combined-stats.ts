/**
 * Combines the statistics of several engines into one. Increments come from the reporting engine, states are summed.
 * Pure.
 */
import { DEVICE_BYTE_KINDS, type DeviceBytes, type StepStats } from "../protocol.ts";
import { IDLE_FACTS } from "../step-facts.ts";

/**
 * One engine's report, with the states of all engines summed.
 * @param report increments come from here. @param states the last report of every live engine, this one included.
 */
export function combineStats(report: StepStats, states: readonly StepStats[]): StepStats {
  const sum = (pick: (stats: StepStats) => number): number => states.reduce((total, stats) => total + pick(stats), 0);
  const union = (pick: (stats: StepStats) => readonly string[]): string[] => [...new Set(states.flatMap(pick))];
  return {
    ...report,
    numRunning: sum((stats) => stats.numRunning),
    numWaiting: sum((stats) => stats.numWaiting),
    runningAdapters: union((stats) => stats.runningAdapters),
    waitingAdapters: union((stats) => stats.waitingAdapters),
    // Every engine has its own cache. The operator needs to know how full the fullest one is.
    kvUsage: Math.max(0, ...states.map((stats) => stats.kvUsage)),
    adapterCacheBytes: sum((stats) => stats.adapterCacheBytes),
    deviceBytes: summedBytes(states),
  };
}

/** null where no engine runs on a device of its own. */
function summedBytes(states: readonly StepStats[]): DeviceBytes | null {
  const known = states.flatMap(({ deviceBytes }) => deviceBytes ?? []);
  if (known.length === 0) return null;
  const sum = (kind: keyof DeviceBytes): number => known.reduce((total, bytes) => total + bytes[kind], 0);
  return Object.fromEntries(DEVICE_BYTE_KINDS.map((kind) => [kind, sum(kind)])) as DeviceBytes;
}

/** A report without any work. */
export const NO_STATS: StepStats = {
  ...IDLE_FACTS,
  numRunning: 0,
  numWaiting: 0,
  runningAdapters: [],
  waitingAdapters: [],
  kvUsage: 0,
  adapterCacheBytes: 0,
  adapterCacheHits: 0,
  adapterCacheMisses: 0,
  adapterLoadSeconds: [],
  prefixQueries: 0,
  prefixHits: 0,
  deviceBytes: null,
};
