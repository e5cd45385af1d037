import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { KvChunk } from "../../../src/engine/kv/kv-cache.ts";
import { type ChunkRows, PrefixCache } from "../../../src/engine/kv/prefix-cache.ts";
import type { Prompt } from "../../../src/engine/contracts.ts";
import { DeviceFullError } from "../../../src/runtime/device-errors.ts";

const CHUNK = 64;

interface FakeChunk extends KvChunk {
  /** Whose ids up to where, as the row held them. */
  readonly content: string;
  isFree: boolean;
}

/** Rows whose content at a position is the prompt that was written there. */
class Rows implements ChunkRows {
  maxBytes = 2 ** 30;
  readonly bytesPerPosition = 16;
  spare = 2 ** 30;
  /** Told to give back on the next `reach`. */
  needed: number | null = null;
  /** Why a device has no room for another chunk. */
  refusal: Error | null = null;
  readonly written = new Map<number, string[]>();
  readonly all: FakeChunk[] = [];
  #borrower: { shrinkTo(bytes: number): void } | null = null;

  spareBytes(): number {
    return this.spare;
  }
  lendTo(borrower: { shrinkTo(bytes: number): void }): void {
    this.#borrower = borrower;
  }
  reach(): void {
    if (this.needed !== null) this.#borrower?.shrinkTo(this.needed);
  }
  copyOut(id: number, from: number, count: number): KvChunk {
    if (this.refusal !== null) throw this.refusal;
    const content = this.written.get(id)?.[from / CHUNK];
    if (content === undefined) throw new Error("nothing was written there");
    const bytes = count * this.bytesPerPosition;
    const chunk: FakeChunk = { numPositions: count, bytes, content, isFree: false, free: () => {} };
    chunk.free = () => {
      expect(chunk.isFree).toBe(false);
      chunk.isFree = true;
    };
    this.all.push(chunk);
    return chunk;
  }
  copyIn(id: number, from: number, chunk: KvChunk): void {
    const { isFree, content } = chunk as FakeChunk;
    expect(isFree).toBe(false);
    this.write(id, from, content);
  }
  write(id: number, from: number, content: string): void {
    const row = this.written.get(id) ?? [];
    expect(row.length).toBe(from / CHUNK);
    this.written.set(id, [...row, content]);
  }
  get liveBytes(): number {
    return this.all.filter(({ isFree }) => !isFree).reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

let nextId = 1;
const prompt = (ids: readonly number[], more: Partial<Omit<Prompt, "id" | "promptIds">> = {}): Prompt => ({
  id: nextId++,
  tenant: "a",
  adapter: null,
  numPromptLogprobs: null,
  promptIds: Int32Array.from(ids),
  ...more,
});

/** What a chunk's keys and values depend on: everything before it, and whose it is. */
const contentOf = ({ tenant, adapter, promptIds }: Prompt, end: number): string =>
  JSON.stringify([tenant, adapter?.generation ?? null, ...promptIds.subarray(0, end)]);

/** Prefills a prompt as the loop does. @returns how many tokens were reused */
async function run(cache: PrefixCache, rows: Rows, one: Prompt): Promise<number> {
  let reused = 0;
  for (let past = 0; past < one.promptIds.length;) {
    const known = await cache.restore(one, past);
    reused += known - past;
    const length = Math.min(CHUNK, one.promptIds.length - known);
    rows.reach(); // as the runner does before every chunk
    past = known + length;
    if (length < CHUNK) break;
    rows.write(one.id, known, contentOf(one, past));
    await cache.keep(one, known);
  }
  rows.written.get(one.id)?.forEach((content, chunk) => expect(content).toBe(contentOf(one, (chunk + 1) * CHUNK)));
  return reused;
}

function setUp(): { rows: Rows; cache: PrefixCache } {
  const rows = new Rows();
  return { rows, cache: new PrefixCache(rows) };
}

const range = (length: number, first = 0): number[] => Array.from({ length }, (_, i) => first + i);

describe("what is reused", () => {
  it.each([
    [1, 0],
    [63, 0],
    [64, 0], // its last token has to be computed
    [65, 64],
    [128, 64],
    [129, 128],
    [1000, 960],
  ])("of a prompt of %i tokens that comes again %i", async (length, reused) => {
    const { rows, cache } = setUp();
    expect(await run(cache, rows, prompt(range(length)))).toBe(0);
    expect(cache.numKnown(prompt(range(length)))).toBe(reused);
    expect(await run(cache, rows, prompt(range(length)))).toBe(reused);
    expect(cache.takeStats()).toEqual({ queries: 2 * length, hits: reused });
    expect(cache.takeStats()).toEqual({ queries: 0, hits: 0 });
  });

  it("is the common beginning, in whole chunks", async () => {
    const { rows, cache } = setUp();
    await run(cache, rows, prompt(range(300)));
    expect(await run(cache, rows, prompt([...range(200), 7, ...range(99, 500)]))).toBe(192);
    expect(await run(cache, rows, prompt([7, ...range(299)]))).toBe(0);
    expect(await run(cache, rows, prompt([...range(64), ...range(64)]))).toBe(64);
    // The chunk that prompt has just left behind another first one than its own.
    expect(await run(cache, rows, prompt([...range(64), ...range(64), 1]))).toBe(128);
  });

  it("is nobody else's: neither another tenant's, nor another generation's, nor the base's", async () => {
    const { rows, cache } = setUp();
    const whose = ["", "a", "b", 'a",null]', 'x","y', "\0"].flatMap((tenant) =>
      [null, { generation: "x" }, { generation: "y" }, { generation: 'y","a' }].map((adapter) => ({ tenant, adapter })),
    );
    for (const more of whose) expect(await run(cache, rows, prompt(range(200), more)), JSON.stringify(more)).toBe(0);
    for (const more of whose) expect(await run(cache, rows, prompt(range(200), more))).toBe(192);
  });

  it("is nobody's with another salt, nor with none", async () => {
    const { rows, cache } = setUp();
    for (const cacheSalt of [null, "a", "b"])
      expect(await run(cache, rows, prompt(range(200), { cacheSalt })), `${cacheSalt}`).toBe(0);
    for (const cacheSalt of [null, "a", "b"])
      expect(await run(cache, rows, prompt(range(200), { cacheSalt }))).toBe(192);
    expect(await run(cache, rows, prompt(range(200)))).toBe(192); // not given is none
  });

  it("is not used where the prompt is scored, which is not counted either, but leaves its chunks", async () => {
    const { rows, cache } = setUp();
    const scored = { numPromptLogprobs: 0 };
    expect(await run(cache, rows, prompt(range(200), scored))).toBe(0);
    expect(await run(cache, rows, prompt(range(200), scored))).toBe(0);
    expect(cache.takeStats()).toEqual({ queries: 0, hits: 0 });
    expect(await run(cache, rows, prompt(range(200)))).toBe(192);
  });

  it("lets equal prompts that run chunk by chunk beside each other prefill every chunk once", async () => {
    const { rows, cache } = setUp();
    const prompts = [1, 2, 3].map(() => prompt(range(640)));
    const lengths = new Map(prompts.map((one) => [one, 0]));
    let numComputed = 0;
    while ([...lengths.values()].some((length) => length < 640))
      for (const [one, past] of lengths) {
        if (past === 640) continue;
        const known = await cache.restore(one, past);
        rows.write(one.id, known, contentOf(one, known + CHUNK));
        numComputed++;
        await cache.keep(one, known);
        lengths.set(one, known + CHUNK);
      }
    expect(numComputed).toBe(10 + 2); // and the last one of each
  });

  it("goes with its adapter's generation, and only that", async () => {
    const { rows, cache } = setUp();
    const whose = ["x", "y"].flatMap((generation) => ["a", "b"].map((tenant) => ({ tenant, adapter: { generation } })));
    for (const more of whose) await run(cache, rows, prompt(range(300), more));
    expect(cache.drop("x")).toBe(true);
    expect(cache.drop("x")).toBe(false);
    expect(rows.liveBytes).toBe(2 * 4 * CHUNK * rows.bytesPerPosition);
    const again = await Promise.all(whose.map((more) => run(cache, rows, prompt(range(300), more))));
    expect(again).toEqual([0, 0, 256, 256]);
  });
});

describe("memory", () => {
  const room = (numChunks: number): number => numChunks * (CHUNK * 16 + 1024);

  it("is half of the cache's bytes at most, and what no row uses", async () => {
    const { rows, cache } = setUp();
    rows.maxBytes = room(20);
    for (let first = 0; first < 30; first++) await run(cache, rows, prompt(range(200, first * 1000)));
    expect(cache.bytes).toBe(room(10));
    rows.spare = room(4);
    await run(cache, rows, prompt(range(200, 50_000)));
    expect(cache.bytes).toBe(room(4));
    rows.spare = 0;
    await run(cache, rows, prompt(range(200, 60_000)));
    expect(cache.bytes).toBe(0);
    expect(rows.liveBytes).toBe(0);
  });

  it("goes to what was used last", async () => {
    const { rows, cache } = setUp();
    rows.maxBytes = 2 * room(9);
    for (const first of [1000, 2000, 3000]) await run(cache, rows, prompt(range(200, first)));
    await run(cache, rows, prompt(range(200, 1000)));
    await run(cache, rows, prompt(range(200, 4000)));
    const known = [1000, 2000, 3000, 4000].map((first) => cache.numKnown(prompt(range(200, first))));
    expect(known).toEqual([192, 0, 192, 192]);
  });

  it("keeps the beginning of a prompt that is longer than it all", async () => {
    const { rows, cache } = setUp();
    rows.maxBytes = 2 * room(5);
    await run(cache, rows, prompt(range(1000)));
    expect(cache.numKnown(prompt(range(1000)))).toBe(5 * CHUNK);
  });

  it("is given back when a row needs it, even in the middle of taking it over", async () => {
    const { rows, cache } = setUp();
    await run(cache, rows, prompt(range(640)));
    rows.needed = room(3);
    expect(await run(cache, rows, prompt(range(640)))).toBe(3 * CHUNK);
    rows.needed = 0;
    expect(await run(cache, rows, prompt(range(640)))).toBe(0);
  });

  it("is no more than what it held when a device had no more", async () => {
    const { rows, cache } = setUp();
    await run(cache, rows, prompt(range(200)));
    rows.refusal = new DeviceFullError("no room", false, null);
    await run(cache, rows, prompt(range(200, 1000)));
    rows.refusal = null;
    await run(cache, rows, prompt(range(200, 2000)));
    expect(cache.bytes).toBe(room(3));
    expect(cache.numKnown(prompt(range(200, 2000)))).toBe(192);
    rows.refusal = new DeviceFullError("no room, and none for others", true, null);
    await expect(run(cache, rows, prompt(range(200, 3000)))).rejects.toBe(rows.refusal);
  });

  it("stays bounded and right under random traffic", async () => {
    const piece = fc.constantFrom(0, 1000, 2000);
    const request = fc.record({
      pieces: fc.array(piece, { minLength: 1, maxLength: 6 }),
      tail: fc.nat(70),
      tenant: fc.constantFrom("a", "b"),
      generation: fc.constantFrom(null, "x", "y"),
      spare: fc.integer({ min: 0, max: 12 }),
      isDropped: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 30 }), async (requests) => {
        const { rows, cache } = setUp();
        rows.maxBytes = room(16);
        for (const { pieces, tail, tenant, generation, spare, isDropped } of requests) {
          rows.spare = rows.needed = room(spare);
          const ids = [...pieces.flatMap((first) => range(CHUNK, first)), ...range(tail, 9000)];
          const adapter = generation === null ? null : { generation };
          await run(cache, rows, prompt(ids, { tenant, adapter })); // checks what is in the row
          expect(cache.bytes).toBeLessThanOrEqual(room(Math.min(8, spare)));
          if (isDropped && generation !== null) cache.drop(generation);
          expect(rows.liveBytes + 1024 * (cache.bytes / room(1))).toBe(cache.bytes);
        }
      }),
    );
  });
});
