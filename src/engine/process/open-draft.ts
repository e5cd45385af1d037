/** Opens the draft model of an engine: a second base directory, in the engine's own process. */
import { type Base, openBase } from "../../base/base.ts";
import type { Manifest } from "../../base/manifest.ts";
import { AdapterFeeds } from "../adapters/adapter-feeds.ts";
import type { DraftModel } from "../contracts.ts";
import { BatchRows } from "../kv/batch-rows.ts";
import { bytesPerPosition, type KvCache } from "../kv/kv-cache.ts";
import { PrefixCache } from "../kv/prefix-cache.ts";
import type { EngineOptions } from "../protocol.ts";
import { SessionRunner } from "../run/model-runner.ts";
import { type OpenDevice, openDevice } from "../run/open-device.ts";
import { DraftRunner } from "./draft-runner.ts";

/** An opened base, before its share of --kv-cache-bytes is known. Disposing closes the session. */
export interface OpenDraft {
  readonly base: Pick<Base, "manifest" | "layout">;
  readonly device: OpenDevice;
}

/** @returns null without --draft-model. @throws {AppError} base_invalid, insufficient_memory */
export async function openDraft(options: EngineOptions): Promise<OpenDraft | null> {
  const { draftDir } = options;
  if (!draftDir) return null;
  await using base = await openBase(draftDir);
  const { manifest, layout } = base;
  return { base: { manifest, layout }, device: await openDevice({ ...options, baseDir: draftDir }, manifest) };
}

/**
 * Divides --kv-cache-bytes between both models. The draft model's rows are never more or longer than those of the model
 * that answers. Its share is such that they fit whenever those fit: no sequence is without guesses for want of memory,
 * as its bits would then depend on other sequences.
 */
export function divideKvBytes(
  bytes: number,
  answering: KvCache,
  draft: KvCache | null,
): { answer: number; draft: number } {
  if (draft === null) return { answer: bytes, draft: 0 };
  const own = bytesPerPosition(answering.shape, answering.type);
  // A deep model's rows grow in longer steps.
  const steps = Math.max(1, draft.positionsFor(1) / answering.positionsFor(1));
  const other = bytesPerPosition(draft.shape, draft.type) * steps;
  const answer = Math.floor((bytes * own) / (own + other));
  return { answer, draft: bytes - answer };
}

/** @param kvBytes memory for its keys and values */
export function draftModelOf(
  { base, device }: OpenDraft,
  answering: Manifest,
  { usesPrefixCache }: Pick<EngineOptions, "usesPrefixCache">,
  kvBytes: number,
): DraftModel {
  const { manifest, layout } = base;
  const { vocabSize, maxPositions } = manifest.config;
  // Each run is of one row, so no batch is padded.
  const kv = new BatchRows(device.cache, { maxBytes: kvBytes, rowMultiple: 1 });
  const runner = new SessionRunner({
    device,
    kv,
    adapters: null,
    prefixes: usesPrefixCache ? new PrefixCache(kv) : null,
    feeds: layout.groups.length > 0 ? device.keepFeeds(new AdapterFeeds(layout)) : null,
    vocabSize,
    maxModelLen: maxPositions,
  });
  return new DraftRunner({
    runner,
    guessCost: stepCost(manifest) / stepCost(answering),
    bytes: { weights: bytesOf(manifest, STORED_BITS), kv: kvBytes },
    answerVocabSize: answering.config.vocabSize,
  });
}

/** Bits of a weight with its part of the scales. On the CPU, products of unquantised weights are in float32. */
const STORED_BITS = { float32: 32, float16: 32, int8: 8.5, int4: 4.5 };
/** Bits that take as long to read as products with the weight do. Those in int4 need more arithmetic. */
const TIMED_BITS = { ...STORED_BITS, int4: 7 };
/**
 * The operators of a layer take about as long as reading these bytes. Measured with SmolLM2-135M on an EPYC (AVX2, two
 * cores): steps of 58 ms in float32, 27 in int8, 29 in int4.
 */
const LAYER_BYTES = 5 * 2 ** 20;

function bytesOf({ parameters, weights, budget }: Manifest, bits: typeof STORED_BITS): number {
  return Math.round((parameters * (weights === "mixed" ? (budget?.bits ?? bits.int8) : bits[weights])) / 8);
}

/** Time of a step of one row, in bytes of weights that are read. */
const stepCost = (manifest: Manifest): number =>
  bytesOf(manifest, TIMED_BITS) + manifest.config.numLayers * LAYER_BYTES;
