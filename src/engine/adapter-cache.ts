/**
 * Adapters made ready for the graph's inputs, in an LRU bounded by bytes. A ready adapter is its numbers laid out as one row of
 * every port (`model/adapter-layout.ts`); running sequences hold theirs, so eviction never disturbs them.
 */
import { LRUCache } from "lru-cache";
import { type Adapter, type AdapterTarget, type BaseSignature, assertFits } from "../adapter/adapter.ts";
import { decodeAdapter } from "../adapter/adapter-file.ts";
import { AppError } from "../errors.ts";
import type { AdapterLayout, TargetPlace } from "../model/adapter-layout.ts";
import type { AdapterContents } from "../store/adapter-contents.ts";
import { toFloat32 } from "../tensor/host-tensor.ts";
import type { AdapterRef } from "./protocol.ts";
import type { AdapterCache, ReadyAdapter } from "./runner.ts";

/** One adapter as rows of the ports; arrays by group, in the layout's order. */
export interface AdapterRow extends ReadyAdapter {
  /** λ of each group, float32 [k]; zero where routed. */
  readonly gains: readonly Float32Array[];
  /** v of each group over its whole output, float32 [dOut]. */
  readonly scales: readonly Float32Array[];
  /** n > 1: λ float32 [n, totalK] and W_gᵀ float32 [totalK, n]. */
  readonly routed: { readonly numHeads: number; readonly heads: Float32Array; readonly routers: Float32Array } | null;
  readonly bytes: number;
}

export class ReadyAdapters implements AdapterCache {
  readonly #layout: AdapterLayout;
  readonly #base: BaseSignature;
  readonly #contents: Pick<AdapterContents, "read">;
  readonly #ready: LRUCache<string, AdapterRow>;
  #hits = 0;
  #misses = 0;

  constructor(layout: AdapterLayout, base: BaseSignature, contents: Pick<AdapterContents, "read">, maxBytes: number) {
    this.#layout = layout;
    this.#base = base;
    this.#contents = contents;
    this.#ready = new LRUCache({ maxSize: maxBytes, sizeCalculation: (row) => row.bytes });
  }

  get(ref: AdapterRef): AdapterRow {
    const known = this.#ready.get(ref.generation);
    if (known) {
      this.#hits++;
      return known;
    }
    this.#misses++;
    const bytes = ref.inlineBytes ?? this.#contents.read(ref.generation);
    if (!bytes)
      throw new AppError(
        "adapter_not_found",
        `The adapter's content ${ref.generation} is no longer in the store. Upload it again.`,
      );
    const adapter = decodeAdapter(bytes);
    assertFits(adapter, this.#base);
    const row = layOutAdapter(ref.generation, adapter, this.#layout);
    this.#ready.set(ref.generation, row);
    return row;
  }

  drop(generation: string): void {
    this.#ready.delete(generation);
  }

  takeStats(): { bytes: number; hits: number; misses: number } {
    const stats = { bytes: this.#ready.calculatedSize, hits: this.#hits, misses: this.#misses };
    this.#hits = this.#misses = 0;
    return stats;
  }
}

/** An adapter that fits the base, as rows of the ports. @throws {AppError} not_live for methods that have no live rows */
export function layOutAdapter(generation: string, adapter: Adapter, layout: AdapterLayout): AdapterRow {
  if (adapter.method !== "mo-sara")
    throw new AppError(
      "not_live",
      `${adapter.method} adapters are not served live; serve it merged (placement "merged").`,
    );
  const numHeads = adapter.router === "none" ? 0 : adapter.heads;
  const routed = numHeads
    ? {
        numHeads,
        heads: new Float32Array(numHeads * layout.totalK),
        routers: new Float32Array(layout.totalK * numHeads),
      }
    : null;
  const targets = new Map(adapter.targets.map((target) => [target.name, target]));
  const gains: Float32Array[] = [];
  const scales: Float32Array[] = [];
  for (const group of layout.groups) {
    const groupGains = new Float32Array(group.k);
    const scale = new Float32Array(group.group.dOut);
    for (const place of group.targets) {
      const target = targets.get(place.name);
      if (!target) continue;
      scale.set(tensor(target, "v"), place.scaleAt);
      if (routed) setHeads(routed, target, place, group.headsAt, layout.totalK);
      else groupGains.set(tensor(target, "lambda"), place.gainsAt);
    }
    gains.push(groupGains);
    scales.push(scale);
  }
  const arrays = [...gains, ...scales, ...(routed ? [routed.heads, routed.routers] : [])];
  const bytes = arrays.reduce((sum, array) => sum + array.byteLength, 0);
  return { generation, gains, scales, routed, bytes };
}

function tensor(target: AdapterTarget, name: string): Float32Array {
  const value = target.tensors[name];
  if (!value) throw new Error(`internal: ${target.name} has no ${name}`);
  return toFloat32(value);
}

/** Writes one target's heads and router at its place among all groups. A rank-1 router w₂w₁ᵀ is written out as a full one. */
function setHeads(
  routed: NonNullable<AdapterRow["routed"]>,
  target: AdapterTarget,
  place: TargetPlace,
  headsAt: number,
  totalK: number,
): void {
  const { numHeads, heads, routers } = routed;
  const lambda = tensor(target, "lambda");
  const router = fullRouter(target, numHeads);
  const first = headsAt + place.gainsAt;
  for (let head = 0; head < numHeads; head++) {
    heads.set(lambda.subarray(head * target.k, (head + 1) * target.k), head * totalK + first);
    for (let i = 0; i < target.k; i++) routers[(first + i) * numHeads + head] = router[head * target.k + i] ?? 0;
  }
}

/** W_g float32 [n,k]. */
function fullRouter(target: AdapterTarget, numHeads: number): Float32Array {
  if (target.tensors.router_full) return toFloat32(target.tensors.router_full);
  const w1 = tensor(target, "router_w1");
  const w2 = tensor(target, "router_w2");
  const full = new Float32Array(numHeads * target.k);
  for (let head = 0; head < numHeads; head++)
    for (let i = 0; i < target.k; i++) full[head * target.k + i] = (w2[head] ?? 0) * (w1[i] ?? 0);
  return full;
}
