/** Adapter files that are cut, flipped or made up: refused as adapter_invalid, quickly, and never otherwise. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Adapter, Method, RouterKind } from "../../src/adapter/adapter.ts";
import { decodeAdapter, encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { AppError } from "../../src/errors.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";
import { pack, type PlainTarget, plainFile, errorOf } from "../helpers/models/plain-adapter-file.ts";

const kinds: [Method, number, RouterKind][] = [
  ["mo-sara", 1, "none"],
  ["mo-sara", 3, "rank1"],
  ["mo-sara", 2, "full"],
  ["sara", 1, "none"],
  ["lora", 1, "none"],
];

describe("fuzzing", () => {
  const files = kinds.map(([method, heads, router]) => encodeAdapter(madeUpAdapter({ method, heads, router })));
  const file = fc.constantFrom(...files);

  /** Decodes; whatever is refused must be refused by an AppError, whatever is accepted must be writable again. */
  function survives(bytes: Uint8Array): void {
    let adapter: Adapter;
    try {
      adapter = decodeAdapter(bytes);
    } catch (error) {
      if (error instanceof AppError && error.code === "adapter_invalid") return;
      throw error;
    }
    expect(decodeAdapter(encodeAdapter(adapter))).toEqual(adapter);
  }

  it("refuses every file cut short and every file with something after it", () => {
    for (const bytes of files) {
      for (let length = 0; length < bytes.length; length++)
        expect(errorOf(() => decodeAdapter(bytes.subarray(0, length))).code).toBe("adapter_invalid");
      expect(errorOf(() => decodeAdapter(Buffer.concat([bytes, Uint8Array.of(0xc0)]))).code).toBe("adapter_invalid");
    }
  });

  it("survives flipped bits", () => {
    fc.assert(
      fc.property(file, fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 6 }), (original, flips) => {
        const bytes = original.slice();
        for (const [at, bit] of flips) bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ (1 << bit);
        survives(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  it("survives random bytes, random values and random values in place of its own", () => {
    const value = fc.anything({ maxDepth: 3, withBigInt: false, withDate: false });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives), { numRuns: 2000 });
    fc.assert(
      fc.property(fc.nat(20), value, fc.constantFrom(...kinds), (place, spoiled, [method, heads, router]) => {
        const plain = plainFile(madeUpAdapter({ method, heads, router }));
        const target = plain.targets[0] as PlainTarget;
        const tensor = Object.values(target.tensors)[0] as Record<string, unknown>;
        const holder = [plain, target, tensor][place % 3] as Record<string, unknown>;
        const keys = Object.keys(holder);
        holder[keys[place % keys.length] as string] = JSON.parse(JSON.stringify(spoiled) ?? "null");
        survives(pack(plain));
      }),
      { numRuns: 2000 },
    );
  });

  it("refuses lengths beyond the file at every place, at once and without taking memory", () => {
    const before = process.memoryUsage().rss;
    const start = performance.now();
    for (const bytes of files)
      for (let at = 0; at < bytes.length; at++)
        for (const first of [0xc6, 0xdb, 0xdd, 0xdf, 0xc9]) {
          const hostile = bytes.slice();
          hostile.set([first, 0xff, 0xff, 0xff, 0xff].slice(0, bytes.length - at), at);
          survives(hostile);
        }
    expect(performance.now() - start).toBeLessThan(20_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(512 * 2 ** 20);
  });

  it("refuses millions of tiny values quickly", () => {
    const list = Buffer.alloc(4 * 2 ** 20, 0x80); // a list of empty maps
    list.set([0xdd, 0x00, 0x3f, 0xff, 0xfb]);
    const start = performance.now();
    expect(errorOf(() => decodeAdapter(list)).code).toBe("adapter_invalid");
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
