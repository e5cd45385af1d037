/** An engine's model runner on a base, without a process, for tests of the graph and the laws. */
import { openBase } from "../../../src/base/base.ts";
import { layOutAdapter, type AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { layOutBlend } from "../../../src/engine/adapters/blend-row.ts";
import { AdapterFeeds } from "../../../src/engine/adapters/adapter-feeds.ts";
import { BatchRows } from "../../../src/engine/kv/batch-rows.ts";
import { SessionRunner } from "../../../src/engine/run/model-runner.ts";
import type { DecodeRow } from "../../../src/engine/contracts.ts";
import { chooseRowMultiple } from "../../../src/engine/process/row-multiple.ts";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import type { BlendMember } from "../../../src/adapter/blend.ts";
import type { Manifest } from "../../../src/base/manifest.ts";
import type { AdapterLayout } from "../../../src/model/adapter-layout.ts";
import { type OpenDevice, openDevice } from "../../../src/engine/run/open-device.ts";

export interface TestRunner extends AsyncDisposable {
  readonly runner: SessionRunner;
  readonly device: OpenDevice;
  readonly manifest: Manifest;
  readonly layout: AdapterLayout;
  /** The adapter as a row of this base. */
  ready(adapter: Adapter, generation?: string): AdapterRow;
  /** The sum of the adapters' weighted updates as a row of this base. */
  blend(members: readonly BlendMember[], generation?: string): AdapterRow;
  /** Logits [positions, V] of a prompt, prefilled in chunks of `chunk`, of all positions from `from` on. */
  score(
    ids: readonly number[],
    options?: { adapter?: AdapterRow | null; chunk?: number; from?: number },
  ): Promise<Float32Array>;
  /** Greedy continuation. */
  greedy(ids: readonly number[], count: number, adapter?: AdapterRow | null): Promise<number[]>;
}

const KV_BYTES = 2 ** 30;
const OPTIONS = {
  maxNumSeqs: 17,
  maxModelLen: null,
  kvCacheBytes: KV_BYTES,
  takesAdapters: true,
  requiresBatchInvariance: true,
};

let nextId = 1;
/** An id no other sequence of this process has. */
export const freshId = (): number => nextId++;

export async function openTestRunner(
  baseDir: string,
  device: "cpu" | "webgpu" = "cpu",
  numThreads = 2,
  kvCacheDtype: "auto" | "int8" = "auto",
): Promise<TestRunner> {
  const base = await openBase(baseDir);
  const { manifest, layout } = base;
  await base[Symbol.asyncDispose]();
  const { config } = manifest;
  const opened = await openDevice({ baseDir, device, numThreads, kvCacheBytes: KV_BYTES, kvCacheDtype }, manifest);
  const feeds = layout.groups.length > 0 ? opened.keepFeeds(new AdapterFeeds(layout)) : null;
  const rows = await chooseRowMultiple({ ...OPTIONS, device, kvCacheDtype }, base, { device: opened, feeds });
  const kv = new BatchRows(opened.cache, { maxBytes: KV_BYTES, rowMultiple: rows.multiple });
  const runner = new SessionRunner({
    device: opened,
    kv,
    adapters: null,
    feeds,
    vocabSize: config.vocabSize,
    maxModelLen: config.maxPositions,
  });

  const score: TestRunner["score"] = async (ids, { adapter = null, chunk = 64, from = 0 } = {}) => {
    const id = freshId();
    kv.admit(id, ids.length);
    const rows: Float32Array[] = [];
    for (let past = 0; past < ids.length; past += chunk) {
      const tokenIds = Int32Array.from(ids.slice(past, past + chunk));
      const logitPositions = Array.from(tokenIds.keys()).filter((i) => past + i >= from);
      const logits = await runner.prefill({ id, past, tokenIds, adapter, logitPositions });
      rows.push((await logits.all()).slice());
    }
    kv.release(id);
    const all = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
    let at = 0;
    for (const row of rows) {
      all.set(row, at);
      at += row.length;
    }
    return all;
  };
  const greedy: TestRunner["greedy"] = async (ids, count, adapter = null) => {
    const id = freshId();
    kv.admit(id, ids.length + count);
    const out: number[] = [];
    let logits = await runner.prefill({
      id,
      past: 0,
      tokenIds: Int32Array.from(ids),
      adapter,
      logitPositions: [ids.length - 1],
    });
    kv.startDecoding(id);
    for (;;) {
      out.push(argmax(await logits.all()));
      if (out.length === count) break;
      logits = await runner.decode([{ id, tokenId: out.at(-1)!, past: ids.length + out.length - 1, adapter }]);
    }
    kv.release(id);
    return out;
  };
  return {
    runner,
    device: opened,
    manifest,
    layout,
    ready: (adapter, generation = "test") => layOutAdapter(generation, adapter, layout),
    blend: (members, generation = "test") => layOutBlend(generation, members, layout, Infinity),
    score,
    greedy,
    [Symbol.asyncDispose]: () => runner.close(),
  };
}

/** A row an adapter behind the same prompt, prefilled and made to decode, with room for ten positions more. */
export async function startRows(
  { runner }: TestRunner,
  prompt: readonly number[],
  adapters: readonly (AdapterRow | null)[],
): Promise<DecodeRow<AdapterRow>[]> {
  const rows = adapters.map((adapter, i) => ({ id: freshId(), tokenId: 20 + i, past: prompt.length, adapter }));
  for (const { id, adapter } of rows) {
    runner.kv.admit(id, prompt.length + 10);
    await runner.prefill({ id, past: 0, tokenIds: Int32Array.from(prompt), adapter, logitPositions: [] });
    runner.kv.startDecoding(id);
  }
  return rows;
}

/** Index of the greatest value, the first of equals. */
function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] ?? 0) > (values[best] ?? 0)) best = i;
  return best;
}

/** Log-probabilities of `ids[t+1]` from logits [T, V]. */
export function logprobsOf(logits: Float32Array, ids: readonly number[], vocabSize: number): number[] {
  return ids.slice(1).map((id, t) => {
    const row = logits.subarray(t * vocabSize, (t + 1) * vocabSize);
    const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const sum = row.reduce((total, value) => total + Math.exp(value - top), 0);
    return (row[id] ?? NaN) - top - Math.log(sum);
  });
}
