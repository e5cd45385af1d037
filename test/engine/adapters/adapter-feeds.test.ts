/**
 * What a step is fed: rows are written when the batch's composition changes and not before, and hold each sequence's
 * own numbers.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { AdapterFeeds } from "../../../src/engine/adapters/adapter-feeds.ts";
import { type AdapterLayout, adapterLayout } from "../../../src/model/adapter-layout.ts";
import { parseModelConfig } from "../../../src/model/families.ts";
import { allGroups } from "../../../src/model/linears.ts";
import {
  FIRST_TERM,
  HAS_MO_SARA,
  HAS_ROUTERS,
  HEAD_MASK,
  groupPorts,
  hasLowRankPort,
  headsPort,
  lowRankPorts,
  routersPort,
} from "../../../src/model/ports.ts";
import type { RuntimeTensor } from "../../../src/runtime/ort.ts";
import { TOY_CONFIG, noise } from "../../helpers/models/checkpoints.ts";

const layout: AdapterLayout = adapterLayout(allGroups(parseModelConfig(TOY_CONFIG)), [
  { name: "layers.0.self_attn.q_proj", k: 3 },
  { name: "layers.0.self_attn.v_proj", k: 2 },
  { name: "layers.0.mlp.down_proj", k: 4 },
]);

/** A row of made-up numbers; heads > 1: routed. */
function rowOf(seed: number, numHeads = 1): AdapterRow {
  const next = noise(seed);
  const random = (length: number): Float32Array => Float32Array.from({ length }, () => next());
  const size = numHeads * layout.totalK;
  return {
    generation: `g${seed}`,
    gains: layout.groups.map(({ k }) => (numHeads > 1 ? new Float32Array(k) : random(k))),
    scales: layout.groups.map(({ group }) => random(group.dOut)),
    routed: numHeads > 1 ? { numHeads, heads: random(size), routers: random(size) } : null,
    lowRank: null,
    terms: [],
    hasMoSara: true,
    bytes: 1,
  };
}

/** A row of a low-rank adapter on the groups that layers call `part`, made-up numbers too. */
function lowRankRowOf(part: string, rank: number): AdapterRow {
  const zero = rowOf(9);
  const next = noise(rank);
  const random = (length: number): Float32Array => Float32Array.from({ length }, () => next());
  const lowRank = layout.lowRank.map(({ part: own, dIn, dOut }) =>
    own === part ? { rank, down: random(rank * dIn), up: random(rank * dOut) } : null,
  );
  return {
    ...zero,
    generation: `${part} ${rank}`,
    gains: zero.gains.map((one) => one.fill(0)),
    scales: zero.scales.map((one) => one.fill(0)),
    lowRank,
    hasMoSara: false,
  };
}

/** A row of a blend: a Mo-SARA part, further terms and a low-rank part. */
function blendedRowOf(seed: number, part: string, rank: number, numTerms: number): AdapterRow {
  const terms = Array.from({ length: numTerms }, (_, i) => rowOf(seed + 20 + i));
  return { ...rowOf(seed, 2), terms, lowRank: lowRankRowOf(part, rank).lowRank };
}

const ROWS: readonly (AdapterRow | null)[] = [
  null,
  rowOf(1),
  rowOf(2),
  rowOf(3, 2),
  rowOf(4, 4),
  rowOf(5, 4),
  lowRankRowOf("self_attn.qkv", 2),
  lowRankRowOf("self_attn.qkv", 8),
  lowRankRowOf("self_attn.qkv", 16),
  lowRankRowOf("mlp.in", 3),
  blendedRowOf(6, "mlp.in", 5, 1),
  blendedRowOf(7, "mlp.in", 5, 3),
];

/** Checks λ and v of one group: all first terms, all second ones, …; zeros where a row has fewer. */
function expectTerms(
  feeds: Record<string, RuntimeTensor>,
  rows: readonly (AdapterRow | null)[],
  [kind, group, width, port]: readonly ["gains" | "scales", number, number, string],
): void {
  const most = 1 + Math.max(0, ...rows.map((row) => row?.terms.length ?? 0));
  const zeros = new Float32Array(width);
  const wanted = Array.from({ length: most }, (_, i) =>
    rows.flatMap((row) => [...((i === 0 ? row : row?.terms[i - 1])?.[kind][group] ?? zeros)]),
  ).flat();
  expect(feeds[port]?.dims).toEqual([most, rows.length, width]);
  expect(numbers(feeds[port])).toEqual(wanted);
}

const numbers = (tensor: RuntimeTensor | undefined): number[] => Array.from(tensor?.data as Float32Array);
const hasNumbers = (tensor: RuntimeTensor | undefined, wanted: Float32Array): boolean =>
  wanted.length === tensor?.size && wanted.every((value, i) => value === (tensor.data as Float32Array)[i]);
const flagOf = (tensor: RuntimeTensor | undefined): number => Number((tensor?.data as Uint8Array | undefined)?.[0]);

/** Checks the feeds of a step against the rows themselves, number by number. */
function expectRows(feeds: Record<string, RuntimeTensor>, rows: readonly (AdapterRow | null)[]): void {
  const hasMoSara = rows.some((row) => row?.hasMoSara);
  layout.groups.forEach((group, i) => {
    const ports = groupPorts(group);
    if (!hasMoSara) return expect([feeds[ports.gains.name], feeds[ports.scale.name]]).toEqual([undefined, undefined]);
    expectTerms(feeds, rows, ["gains", i, group.k, ports.gains.name]);
    expectTerms(feeds, rows, ["scales", i, group.group.dOut, ports.scale.name]);
  });
  expect(flagOf(feeds[HAS_MO_SARA.name])).toBe(hasMoSara ? 1 : 0);
  for (const group of layout.lowRank) {
    const used = layout.lowRank.some((one, i) => one.part === group.part && rows.some((row) => row?.lowRank?.[i]));
    expect(flagOf(feeds[hasLowRankPort(group.part).name]), group.name).toBe(used ? 1 : 0);
    const ports = lowRankPorts(group);
    expect([feeds[ports.down.name], feeds[ports.up.name]].map(Boolean), group.name).toEqual([used, used]);
  }
  expectRouters(feeds, rows);
  expectLowRank(feeds, rows);
}

/** Every row's own matrices, zeros behind them: down [dIn,rank] to the right, up [rank,dOut] below. */
function expectLowRank(feeds: Record<string, RuntimeTensor>, rows: readonly (AdapterRow | null)[]): void {
  layout.lowRank.forEach((group, i) => {
    const ports = lowRankPorts(group);
    const [down, up] = [feeds[ports.down.name], feeds[ports.up.name]];
    const parts = rows.map((row) => row?.lowRank?.[i] ?? null);
    const rank = down?.dims[2] ?? 0;
    expect(rank).toBeGreaterThanOrEqual(Math.max(...parts.map((part) => part?.rank ?? 0)));
    if (rank === 0) return;
    expect(down?.dims).toEqual([rows.length, group.dIn, rank]);
    expect(up?.dims).toEqual([rows.length, rank, group.dOut]);
    const [wantedDown, wantedUp] = [new Float32Array(down!.size), new Float32Array(up!.size)]; // both are fed
    parts.forEach((part, at) => {
      for (let from = 0; part && from < group.dIn; from++)
        wantedDown.set(part.down.subarray(from * part.rank, (from + 1) * part.rank), (at * group.dIn + from) * rank);
      if (part) wantedUp.set(part.up, at * rank * group.dOut);
    });
    expect(hasNumbers(down, wantedDown), ports.down.name).toBe(true); // a comparison by `expect` takes its time
    expect(hasNumbers(up, wantedUp), ports.up.name).toBe(true);
  });
}

function expectRouters(feeds: Record<string, RuntimeTensor>, rows: readonly (AdapterRow | null)[]): void {
  const { totalK } = layout;
  const n = Math.max(1, ...rows.map((row) => row?.routed?.numHeads ?? 1));
  expect(flagOf(feeds[HAS_ROUTERS.name])).toBe(n > 1 ? 1 : 0);
  const [heads, routers, mask] = [headsPort(totalK), routersPort(totalK), HEAD_MASK].map(({ name }) => feeds[name]);
  if (n === 1) return expect([heads, routers, mask, feeds[FIRST_TERM.name]]).toEqual(Array(4).fill(undefined));
  expect(heads?.dims).toEqual([rows.length, n, totalK]);
  const most = 1 + Math.max(0, ...rows.map((row) => row?.terms.length ?? 0));
  expect(feeds[FIRST_TERM.name]?.dims).toEqual([most, 1, 1]);
  expect(numbers(feeds[FIRST_TERM.name])).toEqual(Array.from({ length: most }, (_, i) => (i === 0 ? 1 : 0)));
  rows.forEach((row, at) => {
    for (let head = 0; head < n; head++) {
      const isOwn = head < (row?.routed?.numHeads ?? 0);
      // A row without routers has no numbers, so any gate does: its mask stays open, since a mask of −∞ alone would be
      // NaN.
      expect(numbers(mask)[at * n + head]).toBe(isOwn || !row?.routed ? 0 : -Infinity);
      for (let i = 0; i < totalK; i++) {
        const [own, wide] = [row?.routed, row?.routed?.numHeads ?? 0];
        expect(numbers(heads)[(at * n + head) * totalK + i]).toBe(isOwn ? own!.heads[head * totalK + i] : 0); // isOwn
        expect(numbers(routers)[(at * totalK + i) * n + head]).toBe(isOwn ? own!.routers[i * wide + head] : 0); // isOwn
      }
    }
  });
}

describe("the feeds of a batch", () => {
  it("hold every row's own numbers, whatever was there before", () => {
    const batch = fc.array(fc.constantFrom(...ROWS), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(batch, { minLength: 1, maxLength: 6 }), (batches) => {
        const feeds = new AdapterFeeds(layout);
        for (const rows of batches) expectRows(feeds.batch(rows), rows);
      }),
      { numRuns: 40 },
    );
  });

  it("are the same tensors, untouched, while the rows are the same", () => {
    const feeds = new AdapterFeeds(layout);
    const rows = [ROWS[1]!, null, ROWS[4]!]; // eight of them
    const first = feeds.batch(rows);
    const { gains } = groupPorts(layout.groups[0]!); // a layout with groups
    (first[gains.name]!.data as Float32Array)[0] = 42; // a port of this layout; a write would put it right
    expect(feeds.batch([...rows])).toBe(first);
    expect(numbers(first[gains.name])[0]).toBe(42);
  });

  it("are written only in the rows that changed", () => {
    const feeds = new AdapterFeeds(layout);
    const { gains } = groupPorts(layout.groups[0]!); // a layout with groups
    const k = layout.groups[0]!.k; // as above
    const data = feeds.batch([ROWS[1]!, ROWS[2]!])[gains.name]?.data as Float32Array; // eight of them
    data[0] = 42;
    const next = feeds.batch([ROWS[1]!, null])[gains.name]; // as above
    expect(numbers(next).slice(0, k)[0]).toBe(42);
    expect(numbers(next).slice(k)).toEqual(Array(k).fill(0));
  });
});

describe("the feeds of one sequence", () => {
  it("are its adapter's own arrays, and do not disturb the batch", () => {
    const feeds = new AdapterFeeds(layout);
    const rows = [ROWS[1]!, ROWS[3]!]; // eight of them
    const batch = feeds.batch(rows);
    for (const row of ROWS) expectRows(feeds.single(row), [row]);
    const { scale } = groupPorts(layout.groups[0]!); // a layout with groups
    expect(feeds.single(ROWS[2]!)[scale.name]?.data).toBe(ROWS[2]!.scales[0]); // as above
    expect(feeds.batch(rows)).toBe(batch);
    expectRows(batch, rows);
  });

  it("are a low-rank adapter's own matrices where their rank is one that matrices are padded to", () => {
    const feeds = new AdapterFeeds(layout);
    const at = layout.lowRank.findIndex(({ part }) => part === "self_attn.qkv");
    const { down } = lowRankPorts(layout.lowRank[at]!); // the toy model has attention
    const bufferOf = (row: AdapterRow): unknown => (feeds.single(row)[down.name]!.data as Float32Array).buffer; // fed
    const [padded, whole] = [ROWS[6]!, ROWS[7]!]; // of rank 2 and 8
    const batch = feeds.batch([whole, padded]);
    expect(bufferOf(whole)).toBe(whole.lowRank![at]!.down.buffer);
    expect(bufferOf(padded)).not.toBe(padded.lowRank![at]!.down.buffer);
    expectRows(batch, [whole, padded]);
  });
});
