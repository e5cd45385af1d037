/**
 * The thread of an engine process that makes adapters ready: reading one may wait for the disk, and laying one out takes
 * milliseconds, neither of which may keep the next step waiting. `adapter-loader.ts` starts it and says what it exchanges.
 */
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { parentPort, workerData } from "node:worker_threads";
import { toWire } from "../../errors.ts";
import { openAdapterContents } from "../../store/adapter-contents.ts";
import type { LoadReply, LoadRequest, LoadWorkerData } from "./adapter-loader.ts";
import type { AdapterRow } from "./adapter-row.ts";
import { loadAdapter } from "./load-adapter.ts";
import type { AdapterRef } from "../protocol.ts";

const port = parentPort;
if (port === null) throw new Error("internal: this file is a worker thread");
const { storeDir, wantedFd, ...options } = workerData as LoadWorkerData;
const contents = openAdapterContents(storeDir);
/** Generations whose rows the engine has, or will find among its messages. */
const given = new Set<string>();

port.on("message", (request: LoadRequest) => {
  if ("forgotten" in request) return void given.delete(request.forgotten);
  const { generation } = request.ref;
  if (given.has(generation)) return; // wanted ahead: it is on its way
  try {
    give(request.ref);
  } catch (error) {
    reply({ generation, outcome: { error: toWire(error) } }, []);
  }
});

if (wantedFd !== null) {
  const pipe = new Socket({ fd: wantedFd, readable: true, writable: false });
  createInterface({ input: pipe }).on("line", (generation) => {
    if (given.has(generation)) return;
    try {
      give({ generation });
    } catch {
      // Nobody waits for it yet. The sequence that comes for it is told the reason.
    }
  });
}

/** @throws {AppError} as `loadAdapter` */
function give(ref: AdapterRef): void {
  const { generation } = ref;
  const row = loadAdapter(ref, contents, options);
  given.add(generation);
  reply({ generation, outcome: { row } }, buffersOf(row));
}

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
