/** Opens the model of an engine process: base directory → session, KV rows, adapters. */
import { type Base, openBase } from "../../base/base.ts";
import { AppError } from "../../errors.ts";
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import { ThreadGrammars } from "../grammar/thread-grammars.ts";
import { ReadyAdapters } from "../adapters/ready-adapters.ts";
import { AdapterFeeds } from "../adapters/adapter-feeds.ts";
import { AdapterLoader } from "../adapters/adapter-loader.ts";
import { zeroRow } from "../adapters/adapter-row.ts";
import type { StepFeeds } from "../adapters/step-feeds.ts";
import type { OpenedRunner } from "./engine-host.ts";
import { BatchRows } from "../kv/batch-rows.ts";
import { SessionRunner } from "../run/model-runner.ts";
import { type OpenDevice, openDevice } from "../run/open-device.ts";
import { PrefixCache } from "../kv/prefix-cache.ts";
import { CHUNK_TOKENS } from "../chunks.ts";
import type { EngineCapacity, EngineOptions } from "../protocol.ts";
import { divideKvBytes, draftModelOf, type OpenDraft, openDraft } from "./open-draft.ts";
import { chooseRowMultiple } from "./row-multiple.ts";

/**
 * @param wantedFd a pipe over which the server orders adapters in advance (`adapter-loader.ts`)
 * @throws {AppError} base_invalid, insufficient_memory, usage, device_unavailable
 */
export async function openRunner(options: EngineOptions, wantedFd: number | null = null): Promise<OpenedRunner> {
  await using base = await openBase(options.baseDir);
  const device = await openDevice(options, base.manifest);
  let loader: AdapterLoader | null = null;
  let draft: OpenDraft | null = null;
  const grammars = new ThreadGrammars({
    tokenizerDir: options.tokenizerDir ?? options.baseDir,
    vocabSize: base.manifest.config.vocabSize,
    maxDraft: options.maxDraft,
  });
  try {
    const { layout, signature } = base;
    const { takesAdapters, storeDir, maxLiveRank } = options;
    if (takesAdapters) loader = new AdapterLoader({ storeDir, layout, signature, maxLiveRank, wantedFd });
    draft = await openDraft(options);
    const feeds = layout.groups.length > 0 ? device.keepFeeds(new AdapterFeeds(layout)) : null;
    const rows = await chooseRowMultiple(options, base, { device, feeds });
    const helpers = { loader, grammars, draft, feeds, rowMultiple: rows.multiple };
    const runner = assembleRunner(options, base, device, helpers);
    const capacity = capacityOf(options, runner.kv, layout);
    return Object.assign(runner, { isBatchInvariant: rows.isInvariant, device: device.facts, capacity });
  } catch (error) {
    await loader?.[Symbol.asyncDispose]();
    await grammars[Symbol.asyncDispose]();
    await draft?.device[Symbol.asyncDispose]();
    await device[Symbol.asyncDispose]();
    throw error;
  }
}

/** The parts that work beside the model. */
interface Helpers {
  readonly loader: AdapterLoader | null;
  readonly grammars: ThreadGrammars;
  readonly draft: OpenDraft | null;
  /** null: the graph has no adapter inputs. */
  readonly feeds: StepFeeds | null;
  /** Of `chooseRowMultiple`. */
  readonly rowMultiple: number;
}

/** @throws {AppError} insufficient_memory, usage */
function assembleRunner(
  options: EngineOptions,
  { manifest }: Base,
  device: OpenDevice,
  { loader, grammars, draft, feeds, rowMultiple }: Helpers,
): SessionRunner {
  const { vocabSize, maxPositions } = manifest.config;
  const kvBytes = divideKvBytes(options.kvCacheBytes, device.cache, draft?.device.cache ?? null);
  const kv = new BatchRows(device.cache, { maxBytes: kvBytes.answer, rowMultiple });
  const maxModelLen = modelLengthOf(options, maxPositions, kv.maxLength());
  const adapters = loader && new ReadyAdapters(loader.order, options.adapterCacheBytes);
  loader?.onReply((reply) => adapters?.receive(reply));
  const prefixes = options.usesPrefixCache ? new PrefixCache(kv) : null;
  const draftModel = draft && draftModelOf(draft, manifest, options, kvBytes.draft);
  const parts = { device, kv, adapters, prefixes, loader, grammars, draftModel, feeds, vocabSize, maxModelLen };
  return new SessionRunner(parts);
}

/**
 * The capacity of the given memory. Every adapter is counted as a Mo-SARA adapter, because the size of a Mo-SARA
 * adapter depends only on the base.
 */
function capacityOf(
  options: EngineOptions,
  { bytesPerPosition, cache, maxBytes }: BatchRows,
  layout: AdapterLayout,
): EngineCapacity {
  const { adapterCacheBytes, maxNumSeqs, takesAdapters } = options;
  const isLive = takesAdapters && layout.groups.length > 0;
  return {
    kvBlockTokens: CHUNK_TOKENS,
    numKvBlocks: Math.floor(maxBytes / (bytesPerPosition * CHUNK_TOKENS)),
    kvCacheType: cache.type,
    maxReadyAdapters: isLive ? Math.max(maxNumSeqs, Math.floor(adapterCacheBytes / zeroRow(layout).bytes)) : 0,
  };
}

/**
 * Maximum number of tokens of a sequence: the requested number, or the model's length, reduced to what fits into the
 * cache.
 * @throws {AppError} usage, insufficient_memory: a requested number is never shortened silently
 */
function modelLengthOf(
  options: Pick<EngineOptions, "maxModelLen" | "kvCacheBytes">,
  maxPositions: number,
  maxRowLength: number,
): number {
  const { maxModelLen: wanted, kvCacheBytes } = options;
  if (wanted !== null && wanted > maxPositions)
    throw new AppError(
      "usage",
      `--max-model-len ${wanted} is more than the model's ${maxPositions} positions. Choose a smaller value.`,
    );
  const length = Math.min(wanted ?? maxPositions, maxRowLength);
  if (length >= (wanted ?? 1)) return length;
  throw new AppError(
    "insufficient_memory",
    `--kv-cache-bytes ${kvCacheBytes} holds ${maxRowLength} tokens of one sequence of this model, expected ${wanted ?? "at least 1"}. Raise --kv-cache-bytes${wanted === null ? "" : " or lower --max-model-len"}.`,
  );
}
