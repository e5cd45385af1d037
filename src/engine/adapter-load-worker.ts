/**
 * The thread of an engine process that makes adapters ready: reading one may wait for the disk, and laying one out takes
 * milliseconds, neither of which may keep the next step waiting. `adapter-loader.ts` starts it and says what it exchanges.
 */
import { parentPort, workerData } from "node:worker_threads";
import { toWire } from "../errors.ts";
import { openAdapterContents } from "../store/adapter-contents.ts";
import type { LoadReply, LoadRequest, LoadWorkerData } from "./adapter-loader.ts";
import type { AdapterRow } from "./adapter-row.ts";
import { loadAdapter } from "./load-adapter.ts";

const port = parentPort;
if (port === null) throw new Error("internal: this file is a worker thread");
const { storeDir, ...options } = workerData as LoadWorkerData;
const contents = openAdapterContents(storeDir);

port.on("message", (request: LoadRequest) => {
  try {
    const row = loadAdapter(request.ref, contents, options);
    reply({ id: request.id, row }, buffersOf(row));
  } catch (error) {
    reply({ id: request.id, error: toWire(error) }, []);
  }
});

function reply(message: LoadReply, buffers: readonly ArrayBuffer[]): void {
  port?.postMessage(message, buffers);
}

/** The row's memory, which goes over to the engine without a copy. */
function buffersOf({ gains, scales, routed, lowRank }: AdapterRow): ArrayBuffer[] {
  const arrays = [
    ...gains,
    ...scales,
    ...(routed ? [routed.heads, routed.routers] : []),
    ...(lowRank ?? []).flatMap((group) => (group ? [group.down, group.up] : [])),
  ];
  return arrays.map(({ buffer }) => buffer as ArrayBuffer); // each has been made for its array alone
}
