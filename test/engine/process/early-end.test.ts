/**
 * Engines that are ended at every stage of their start, on a toy base with the real loader thread on a real store. A
 * thread that was terminated while it opened the store took its process with it (FATAL ERROR:
 * Error::ThrowAsJavaScriptException napi_throw, exit by SIGABRT): seen when an engine was closed right after its start.
 * It speaks on stderr, which is why that has to be empty.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { openAdapterStore } from "../../../src/store/adapter-store.ts";

const PROGRAM = join(import.meta.dirname, "../../helpers/engine/stop-engines.mjs");
const scratch = mkdtempSync(join(tmpdir(), "mosara-early-end-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const storeDir = join(scratch, "store");
await using _store = await openAdapterStore(storeDir); // makes it, and has it open as the server has

/** A test machine may be busy with other things. */
const TIMEOUT_MS = 240_000;

describe("an engine that ends early", () => {
  it.each([
    { kind: "loader", count: 24, how: "only its loader thread is ended" },
    { kind: "stop", count: 8, how: "the server stops it" },
    { kind: "ready", count: 8, how: "the server stops it as soon as it serves" },
    { kind: "failed", count: 8, how: "its start fails" },
    { kind: "merged", count: 8, how: "a merge is under way" },
    { kind: "orphan", count: 10, how: "its parent is gone" },
  ])("ends in order when $how, $count times", { timeout: TIMEOUT_MS }, async ({ kind, count }) => {
    const args = [PROGRAM, kind, storeDir, String(count)];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
    expect({ stdout, stderr }).toEqual({ stdout: `ended ${count}\n`, stderr: "" });
  });
});
