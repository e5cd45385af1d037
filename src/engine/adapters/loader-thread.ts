/**
 * The thread of an engine process that loads adapters. Reading an adapter may wait for the disk, and laying it out
 * takes milliseconds. Neither may delay the next step. The thread loads the adapters in its queue, replies with rows,
 * and keeps nothing. Orders come from the engine's own thread, and over a pipe from the server. `adapter-loader.ts`
 * starts it and defines the messages.
 */
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { parentPort, workerData } from "node:worker_threads";
import { toWire } from "../../errors.ts";
import { openAdapterContents } from "../../store/adapter-contents.ts";
import type { AdapterRef } from "../protocol.ts";
import { wantedRef } from "../wanted-line.ts";
import type { LoadOrder, LoadReply, LoaderData } from "./adapter-loader.ts";
import { type AdapterRow, arraysOf } from "./adapter-row.ts";
import { loadAdapter } from "./load-adapter.ts";

/**
 * Maximum number of replies with a row that are remembered until the engine has read them. If a reply is forgotten
 * earlier, a second load follows.
 */
const MAX_UNREAD = 64;

const port = parentPort;
if (port === null) throw new Error("internal: this file is a worker thread");
const { storeDir, wantedFd, ...options } = workerData as LoaderData;
const contents = openAdapterContents(storeDir);
const pipe = wantedFd === null ? null : new Socket({ fd: wantedFd, readable: true, writable: false });
let numSent = 0;
/** Generations whose rows the engine may not have read yet, by the number of the reply, the oldest first. */
const unread = new Map<string, number>();

port.on("message", (order: LoadOrder) => {
  if ("type" in order) return void end();
  forgetUpTo(order.numRead);
  load(order.ref, false);
});
if (pipe !== null) createInterface({ input: pipe }).on("line", (line) => load(wantedRef(line), true));

/** Engine and server may order the same adapter. A row that is already on its way also answers the second order. */
function load(ref: AdapterRef, isAhead: boolean): void {
  const { generation } = ref;
  if (unread.has(generation)) return;
  const startedMs = performance.now();
  try {
    const row = loadAdapter(ref, contents, options);
    const seconds = (performance.now() - startedMs) / 1000;
    reply({ generation, isAhead, outcome: { row, seconds } }, buffersOf(row));
    unread.set(generation, numSent);
    if (unread.size > MAX_UNREAD) forgetUpTo(numSent - MAX_UNREAD);
  } catch (error) {
    reply({ generation, isAhead, outcome: { error: toWire(error) } }, []);
  }
}

function forgetUpTo(numRead: number): void {
  for (const [generation, number] of unread) {
    if (number > numRead) return;
    unread.delete(generation);
  }
}

function reply(message: LoadReply, buffers: readonly ArrayBuffer[]): void {
  numSent++;
  port?.postMessage(message, buffers);
}

/** Closes everything that keeps this thread alive. */
async function end(): Promise<void> {
  pipe?.destroy();
  port?.close();
  await contents.close();
}

/** The row's memory, which is transferred to the engine without a copy. */
function buffersOf(row: AdapterRow): ArrayBuffer[] {
  return arraysOf(row).map(({ buffer }) => buffer as ArrayBuffer); // each buffer was made for its array alone
}
