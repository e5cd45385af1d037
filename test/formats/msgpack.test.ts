import fc from "fast-check";
import { pack } from "msgpackr";
import { describe, expect, it } from "vitest";
import { decodeBounded, encode } from "../../src/formats/msgpack.ts";
import { damaged } from "./damaged.ts";

const LIMITS = { maxBytes: 1_000_000, maxDepth: 16, maxItems: 10_000 };
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function expectRefused(bytes: Uint8Array, limits = LIMITS, message?: RegExp): void {
  const refusal = { code: "adapter_invalid", ...(message && { message: expect.stringMatching(message) }) };
  expect(() => decodeBounded(bytes, limits)).toThrow(expect.objectContaining(refusal));
}

const SAMPLE = {
  magic: "mosara",
  version: 1,
  targets: [{ name: "layers.0.self_attn.q_proj", k: 5, tensors: { v: { shape: [3], data: Uint8Array.of(1, 2, 3) } } }],
  card: { "": null, score: 0.5, steps: -70_000, done: true, text: "é🙂" },
};

describe("encode", () => {
  // Bytes by hand from the specification's table of formats.
  it.each<[string, unknown, string]>([
    ["nil and booleans", [null, false, true], "93 c0 c2 c3"],
    ["small integers in one byte", [0, 127, -1, -32], "94 00 7f ff e0"],
    ["integers in the smallest form", [128, 256, 65_536, -33, -129], "95 cc80 cd0100 ce00010000 d0df d1ff7f"],
    ["fractions as float64", 0.5, "cb 3fe0000000000000"],
    ["numbers beyond 32 bits as float64", 2 ** 40, "cb 4270000000000000"],
    ["bigints as 64-bit integers", [2n ** 62n], "91 d3 4000000000000000"],
    ["strings as UTF-8", "é", "a2 c3a9"],
    ["bytes as binary", Uint8Array.of(1, 2), "c4 02 0102"],
    ["maps in their own order of keys", { b: 1, a: 2 }, "82 a162 01 a161 02"],
  ])("writes %s", (_, value, bytes) => expect(hexOf(encode(value))).toBe(bytes.replaceAll(" ", "")));

  it.each([
    ["undefined", { a: undefined }],
    ["a date", [new Date(0)]],
    ["a float array", { a: { b: Float32Array.of(1) } }],
    ["a map object", new Map()],
    ["a __proto__ key", JSON.parse('{"__proto__": 1}')],
  ])("refuses %s", (_, value) => expect(() => encode(value)).toThrow(/^internal: value/));
});

describe("decodeBounded", () => {
  it("decodes what encode and the library's own pack wrote", () => {
    const plain = { ...LIMITS, maxItems: 100_000 };
    const binary = fc.uint8Array().map((bytes) => Buffer.from(bytes));
    const key = fc.string().filter((text) => text !== "__proto__");
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        tie("leaf"),
        fc.array(tie("value")),
        fc.dictionary(key, tie("value"), { noNullPrototype: true }),
      ),
      leaf: fc.oneof(
        fc.constantFrom(null, true, false),
        fc.integer(),
        fc.maxSafeInteger(),
        fc.double().map((x) => x + 0),
        fc.string({ unit: "binary" }),
        binary,
      ),
    }));
    fc.assert(
      fc.property(value, (original) => {
        expect(decodeBounded(encode(original), plain)).toEqual(original);
        expect(decodeBounded(pack(original), plain)).toEqual(original);
      }),
    );
  });

  it("keeps the order of keys, so the same bytes come back", () => {
    const bytes = encode(SAMPLE);
    expect(hexOf(encode(decodeBounded(bytes, LIMITS)))).toBe(hexOf(bytes));
  });

  it("gives 64-bit integers as numbers where exact, else as bigint", () => {
    expect(decodeBounded(hex("92 cf0000000100000000 d37fffffffffffffff"), LIMITS)).toEqual([2 ** 32, 2n ** 63n - 1n]);
  });

  it("reads a view into a larger buffer", () => {
    const bytes = encode(SAMPLE);
    const padded = Uint8Array.from([1, 2, 3, ...bytes, 4, 5]);
    expect(decodeBounded(padded.subarray(3, 3 + bytes.length), LIMITS)).toEqual(decodeBounded(bytes, LIMITS));
  });

  it.each([
    ["nothing at all", "", /too early/],
    ["a missing value", "92 01", /longer than the rest/],
    ["a cut length", "c6 00 00", /too early/],
    ["a string beyond the end", "db ffffffff 61", /longer than the rest/],
    ["binary beyond the end", "c6 ffffffff 61", /longer than the rest/],
    ["an array of four thousand million", "dd ffffffff 01", /longer than the rest/],
    ["a map of four thousand million", "df ffffffff a161 01", /longer than the rest/],
    ["a cut float", "cb 3fe0", /longer than the rest/],
    ["bytes after the end", "01 02", /1 bytes follow/],
    ["an extension", "d4 01 00", /0xd4/],
    ["a record definition of the library", "d4 72 40 91 a161 01", /0xd4/],
    ["a timestamp", "d6 ff 00000000", /0xd6/],
    ["the unused type", "c1", /0xc1/],
    ["text that is not UTF-8", "a1 ff", /UTF-8/],
    ["a key that is a number", "81 01 02", /key is not a string/],
    ["a key that is a map", "81 80 02", /key is not a string/],
    ["the key __proto__", "81 a95f5f70726f746f5f5f 80", /__proto__/],
    ["a key twice", "82 a161 01 a161 02", /twice/],
    ["the same key in long form", "82 a161 01 d90161 02", /twice/],
  ])("refuses %s", (_, bytes, message) => expectRefused(hex(bytes), LIMITS, message));

  it("allows the same key in sibling maps, and a key that equals a value", () => {
    expect(decodeBounded(hex("82 a161 81a16101 a162 a161"), LIMITS)).toEqual({ a: { a: 1 }, b: "a" });
  });

  it("refuses one byte, one level and one value more than allowed", () => {
    const value = { a: [1, 2] }; // 2 levels; 5 values: map, key, array, 1, 2
    const bytes = encode(value);
    const exact = { maxBytes: bytes.length, maxDepth: 2, maxItems: 5 };
    expect(decodeBounded(bytes, exact)).toEqual(value);
    for (const name of ["maxBytes", "maxDepth", "maxItems"] as const)
      expectRefused(bytes, { ...exact, [name]: exact[name] - 1 });
  });

  it("refuses a million nested arrays without running out of stack", () => {
    expectRefused(Buffer.alloc(1_000_000, 0x91), LIMITS, /deeper/);
  });

  it("fails with the documented error or reads something, whatever the damage", () => {
    fc.assert(
      fc.property(damaged(encode(SAMPLE)), (bytes) => {
        try {
          decodeBounded(bytes, LIMITS);
        } catch (error) {
          expect(error).toMatchObject({ code: "adapter_invalid" });
        }
      }),
      { numRuns: 3000 },
    );
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});
