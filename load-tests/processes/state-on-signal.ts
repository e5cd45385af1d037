/**
 * The processes that the soak of aborts measures load this file beside collect-on-signal.ts. After SIGUSR2 and the
 * collection of garbage, a process writes the objects that it still holds to `<STATE_FOLDER>/<pid>.json`.
 */
import { EventEmitter } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { queryObjects } from "node:v8";
import { isMainThread } from "node:worker_threads";

/** The garbage is collected twice within this time, and finalisers have run. */
const COLLECTED_MS = 500;
const HELD = { EventTarget, EventEmitter, AbortSignal, ReadableStream, Request, Response, Socket, Promise };

function held(): Record<string, number> {
  const objects = Object.entries(HELD).map(([name, kind]) => [name, queryObjects(kind, { format: "count" })]);
  const listeners = process.eventNames().reduce((sum, event) => sum + process.listenerCount(event), 0);
  return {
    ...Object.fromEntries(objects),
    "process listeners": listeners,
    handles: process.getActiveResourcesInfo().length,
  };
}

const folder = process.env.STATE_FOLDER;
if (isMainThread && folder !== undefined) {
  const write = (): void => {
    const path = join(folder, `${process.pid}.json`);
    writeFileSync(`${path}.new`, JSON.stringify(held()));
    renameSync(`${path}.new`, path);
  };
  process.on("SIGUSR2", () => setTimeout(write, COLLECTED_MS).unref());
}
