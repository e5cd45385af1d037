/** A row of logits under a grammar's mask, compared with the same row masked id by id. */
import { describe, expect, it } from "vitest";
import { maskedRow } from "../../../src/engine/sampling/masked-row.ts";
import { nextUint32, seedRandom } from "../../../src/tensor/random.ts";

const random = seedRandom(9);
const room = (size: number) => ({ logits: new Float32Array(size), maxima: new Float32Array(size) });
const bitsOf = (size: number, share: number): Int32Array =>
  Int32Array.from({ length: Math.ceil(size / 32) }, () => {
    if (share === 0 || share === 1) return -share;
    return Array.from({ length: 32 }, () => Number(nextUint32(random) < share * 2 ** 32)).reduce(
      (word, bit) => (word << 1) | bit,
      0,
    );
  });

const maximaOf = (logits: Float32Array, blockSize: number): Float32Array =>
  Float32Array.from({ length: Math.ceil(logits.length / blockSize) }, (_, block) =>
    Math.max(...logits.subarray(block * blockSize, (block + 1) * blockSize)),
  );

describe("a masked row", () => {
  it.each([
    [300, 128, 0.5],
    [257, 64, 0.02],
    [512, 128, 1],
    [1000, 100, 0.9],
    [31, 128, 0.3],
  ])(
    "of %i logits in blocks of %i with %f allowed has the allowed logits and their maxima",
    (size, blockSize, share) => {
      const logits = Float32Array.from({ length: size }, () => nextUint32(random) / 2 ** 30 - 2);
      const before = logits.slice();
      const words = bitsOf(size, share);
      const ends = [3, size - 1];
      for (const mayEnd of [true, false]) {
        const expected = logits.map((value, id) => {
          const isAllowed = ends.includes(id) ? mayEnd : ((words[id >> 5]! >>> (id & 31)) & 1) === 1;
          return isAllowed ? value : -Infinity;
        });
        for (const maxima of [null, maximaOf(logits, blockSize)]) {
          const row = maskedRow({ kind: "whole", logits, maxima, blockSize }, { words, mayEnd }, ends, room(size));
          expect(row.logits).toEqual(expected);
          expect(row.maxima).toEqual(maximaOf(expected, blockSize));
          expect(logits).toEqual(before);
        }
      }
    },
  );

  it.each([NaN, Infinity])("with a logit of %d is an error of the server", (value) => {
    const row = { kind: "whole", logits: new Float32Array(64).fill(value, 5, 6), maxima: null, blockSize: 64 } as const;
    expect(() => maskedRow(row, { words: new Int32Array(2).fill(-1), mayEnd: false }, [], room(64))).toThrow(
      "internal: the model gave a logit",
    );
  });

  it("without an allowed id is an error of the request", () => {
    const row = { kind: "whole", logits: new Float32Array(64), maxima: null, blockSize: 64 } as const;
    expect(() => maskedRow(row, { words: new Int32Array(2), mayEnd: false }, [1], room(64))).toThrow(
      "No token of this model",
    );
  });
});
