/**
 * The lines of the pipe over which the server orders adapters in advance (`WANTED_FD`): one adapter a line, without
 * content.
 */
import type { AdapterRef } from "./protocol.ts";

type StoredRef = Omit<AdapterRef, "inlineBytes">;

/** With the line's end. */
export function wantedLine({ generation, blend }: StoredRef): string {
  return `${JSON.stringify({ generation, ...(blend === undefined ? {} : { blend }) })}\n`;
}

/** The adapter of a line that `wantedLine` wrote. */
export function wantedRef(line: string): StoredRef {
  return JSON.parse(line) as StoredRef;
}
