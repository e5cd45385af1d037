/** Lets a target read one input. */
import { getHeapStatistics } from "node:v8";
import { AppError } from "../src/errors.ts";
import { MAX_EXTERNAL_BYTES, type Target } from "./target.ts";

/** Characters that a reader of a message can be expected to read. Names and values are cut where they are quoted. */
const MAX_MESSAGE = 4000;

/** How an input was read: refused as it should be, or with a fault of ours. */
export type Outcome = "read" | "refused" | { readonly fault: string };

export async function outcomeOf(target: Target, input: Uint8Array): Promise<Outcome> {
  const before = externalBytes();
  let isRead = true;
  try {
    await target.read(input);
  } catch (error) {
    if (!(error instanceof AppError))
      return { fault: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    if (error.code === "internal_error") return { fault: `an internal error: ${error.message}` };
    if (error.message.length > MAX_MESSAGE) return { fault: `a message of ${error.message.length} characters` };
    isRead = false;
  }
  const taken = externalBytes() - before;
  if (taken > MAX_EXTERNAL_BYTES) return { fault: `it took ${taken} bytes outside of the heap` };
  return isRead ? "read" : "refused";
}

/** Memory of buffers. `process.memoryUsage()` takes four times as long, which is the time of a small parser. */
const externalBytes = (): number => getHeapStatistics().external_memory;
