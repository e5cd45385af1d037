/** The figures that a server reports about itself at `/metrics` (Prometheus text): mosara's and vLLM's names. */

/** @returns samples by series as written there (`name{labels}`); null where the server has no `/metrics` */
async function readMetrics(url: string): Promise<ReadonlyMap<string, number> | null> {
  const response = await fetch(new URL("/metrics", url)).catch(() => null);
  if (!response?.ok) return null;
  const text = await response.text();
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" ");
    if (!line.startsWith("#") && at > 0) samples.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return samples;
}

/** The load that a server has borne, of its own telling; null where it does not say. */
export interface ServerLoad {
  /** Of the process that answers HTTP. Each reading starts a new window of the delay. */
  readonly residentBytes: number | null;
  readonly eventLoopDelayP99Ms: number | null;
}

export async function readServerLoad(url: string): Promise<ServerLoad> {
  const metrics = await readMetrics(url);
  const delay = metrics?.get('mosara_event_loop_delay_seconds{statistic="p99"}');
  return {
    residentBytes: metrics?.get("process_resident_memory_bytes") ?? null,
    eventLoopDelayP99Ms: delay === undefined ? null : 1000 * delay,
  };
}
