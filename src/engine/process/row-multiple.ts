/**
 * The padding of batches. A sequence must get the same bits in every batch. On the CPU, quantised products may use
 * another kernel, with other bits, for a single row or for the last of an odd number of rows. Even numbers of rows
 * agreed in every format and on every CPU tried. Padding costs time: one row as two takes a quarter longer with int8 on
 * a CPU without VNNI. Two things tell where it can be left out, and both must agree:
 *
 * - Format and CPU. With int8 in blocks of 32, kernels for AVX2 alone add up a row's products in one order. Those for
 *   AVX-512 have two orders, and memory bounds a row there, so that padding costs little.
 * - The self-test. Alone it would not be enough: kernels may differ in a few numbers only, which a test may miss.
 */
import type { Base } from "../../base/base.ts";
import type { Manifest } from "../../base/manifest.ts";
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import { type AdapterRow, zeroRow } from "../adapters/adapter-row.ts";
import type { StepFeeds } from "../adapters/step-feeds.ts";
import { BatchRows } from "../kv/batch-rows.ts";
import type { EngineOptions } from "../protocol.ts";
import { SessionRunner } from "../run/model-runner.ts";
import type { OpenDevice } from "../run/open-device.ts";
import { type CpuFacts, readCpuFacts } from "../../runtime/cpu-features.ts";
import { firstPassing } from "./passed-self-tests.ts";
import { isBatchInvariant } from "./self-test.ts";

export interface RowMultiple {
  /** The number of rows of every batch is a multiple of this. */
  readonly multiple: number;
  /** Whether a sequence then has the same bits alone and in every batch tried. */
  readonly isInvariant: boolean;
}

type RowOptions = Parameters<typeof firstPassing>[0]["options"] &
  Pick<EngineOptions, "device" | "requiresBatchInvariance" | "kvCacheBytes">;

/**
 * The smallest multiple with which the self-test passes, and the greatest where none does. Leaves the device's cache
 * empty.
 */
export async function chooseRowMultiple(
  options: RowOptions,
  { manifest, layout }: Pick<Base, "manifest" | "layout">,
  { device, feeds }: { readonly device: OpenDevice; readonly feeds: StepFeeds | null },
): Promise<RowMultiple> {
  const multiples = await multiplesOf(options, manifest);
  const { vocabSize } = manifest.config;
  const test = (rowMultiple: number): Promise<boolean> => {
    const kv = new BatchRows(device.cache, { maxBytes: options.kvCacheBytes, rowMultiple });
    const runner = new SessionRunner({ device, kv, adapters: null, feeds, vocabSize, maxModelLen: kv.maxLength() });
    return isBatchInvariant(runner, options.maxNumSeqs, feeds && probeRow(layout));
  };
  const passing = await firstPassing({ manifest, device: device.facts, options }, multiples, test);
  return { multiple: passing ?? multiples.at(-1) ?? 1, isInvariant: passing !== null };
}

/** Those worth trying, the smallest first. @param readCpu asked only where the CPU matters */
export async function multiplesOf(
  { requiresBatchInvariance, device }: Pick<EngineOptions, "requiresBatchInvariance" | "device">,
  { layouts }: Pick<Manifest, "layouts">,
  readCpu: () => Promise<CpuFacts> = readCpuFacts,
): Promise<readonly number[]> {
  if (!requiresBatchInvariance || device !== "cpu" || layouts === null) return [1];
  const isInt8 = Object.values(layouts).every(
    ({ bits, blockSize, accuracyLevel }) => bits === 8 && blockSize === 32 && accuracyLevel === 4,
  );
  if (!isInt8) return [2];
  const { features } = await readCpu();
  const hasOneOrder = features.includes("avx2") && !features.some((one) => /avx512|vnni|amx/.test(one));
  return hasOneOrder ? [1, 2] : [2];
}

/** An adapter that changes every target a little. */
function probeRow(layout: AdapterLayout): AdapterRow {
  const row = zeroRow(layout);
  for (const array of [...row.gains, ...row.scales]) array.fill(0.125);
  return row;
}
