/** Opens the model of an engine process: base directory → session, KV rows, adapters. */
import { join } from "node:path";
import { type Base, SERVE_GRAPH_FILE, openBase } from "../base/base.ts";
import type { Manifest } from "../base/manifest.ts";
import { AppError } from "../errors.ts";
import { openSession } from "../runtime/ort.ts";
import { openAdapterContents } from "../store/adapter-contents.ts";
import { ReadyAdapters } from "./adapter-cache.ts";
import { AdapterFeeds } from "./adapter-feeds.ts";
import { BatchSlots } from "./kv-slots.ts";
import { SessionRunner } from "./model-runner.ts";
import type { EngineOptions } from "./protocol.ts";
import type { ModelRunner } from "./runner.ts";
import { isBatchInvariant } from "./self-test.ts";

/** @throws {AppError} base_invalid, insufficient_memory, usage (a device this version cannot use) */
export async function openRunner(
  options: EngineOptions,
): Promise<ModelRunner & { readonly isBatchInvariant: boolean }> {
  if (options.device !== "cpu")
    throw new AppError("usage", `--device ${options.device} is not supported yet; this version runs on cpu.`);
  const base = await openBase(options.baseDir);
  const { config } = base.manifest;
  const rowMultiple = options.requiresBatchInvariance ? rowMultipleOf(base.manifest) : 1;
  const kv = new BatchSlots(config, { maxBytes: options.kvCacheBytes, rowMultiple });
  const maxModelLen = Math.min(options.maxModelLen ?? config.maxPositions, config.maxPositions, kv.maxLength());
  if (maxModelLen < 1)
    throw new AppError(
      "insufficient_memory",
      `--kv-cache-bytes ${options.kvCacheBytes} holds not even one short sequence of this model. Raise it.`,
    );
  const session = await openSession(join(options.baseDir, SERVE_GRAPH_FILE), {
    device: options.device,
    numThreads: options.numThreads,
  });
  const adapters = options.takesAdapters ? openAdapters(base, options) : null;
  const feeds = base.layout.groups.length > 0 ? new AdapterFeeds(base.layout) : null;
  const runner = new SessionRunner({ session, kv, adapters, feeds, vocabSize: config.vocabSize, maxModelLen });
  await base[Symbol.asyncDispose]();
  return Object.assign(runner, { isBatchInvariant: await isBatchInvariant(runner, options.maxNumSeqs) });
}

/**
 * Quantised products take another kernel, with other bits, for one row (int4 in blocks of 32) or for the last of an odd number of
 * rows (blocks of 128; measured on AVX-512 VNNI): batches of an even number of rows agree.
 */
export function rowMultipleOf(manifest: Manifest): number {
  return manifest.blockSize === null ? 1 : 2;
}

function openAdapters(base: Base, options: EngineOptions): ReadyAdapters {
  return new ReadyAdapters(
    base.layout,
    base.signature,
    openAdapterContents(options.storeDir),
    options.adapterCacheBytes,
  );
}
