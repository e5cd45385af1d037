/** End tokens of an adapter's own: an optional key of the file, checked like everything else in it. */
import { Packr } from "msgpackr";
import { describe, expect, it } from "vitest";
import { decodeAdapter, encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { assertFits } from "../../src/adapter/adapter.ts";
import { decodeBounded } from "../../src/formats/msgpack.ts";
import { recordOf } from "../../src/store/adapter-record.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";

const adapter = { ...madeUpAdapter({ method: "lora" }), endTokenIds: [2, 7] };
const LIMITS = { maxBytes: 2 ** 20, maxDepth: 10, maxItems: 10_000 };

describe("end tokens in a .mosara file", () => {
  it("come back, stand before the card, and reach the record of a name", () => {
    const bytes = encodeAdapter(adapter);
    expect(decodeAdapter(bytes)).toEqual(adapter);
    const keys = Object.keys(decodeBounded(bytes, LIMITS) as object);
    expect(keys.slice(-3)).toEqual(["targets", "endTokenIds", "card"]);
    expect(recordOf({ tenant: "acme", name: "a" }, "0".repeat(64), bytes.byteLength, adapter).endTokenIds).toEqual([
      2, 7,
    ]);
  });

  it("leave no trace where there are none, so that files from before stay as they were", () => {
    const plain = madeUpAdapter({ method: "lora" });
    const file = decodeBounded(encodeAdapter(plain), LIMITS) as object;
    expect(Object.keys(file)).not.toContain("endTokenIds");
    expect(decodeAdapter(encodeAdapter(plain))).not.toHaveProperty("endTokenIds");
    expect(recordOf({ tenant: "acme", name: "a" }, "0".repeat(64), 1, plain)).not.toHaveProperty("endTokenIds");
  });

  it.each([
    ["an empty list", []],
    ["no list", 7],
    ["a text", ["7"]],
    ["a negative id", [-1]],
    ["a fraction", [1.5]],
    ["an id twice", [7, 7]],
    ["ids out of order", [7, 2]],
    ["too many", Array.from({ length: 65 }, (_, i) => i)],
  ])("are refused where they are %s", (_, endTokenIds) => {
    const file = decodeBounded(encodeAdapter(adapter), LIMITS) as Record<string, unknown>;
    const bytes = new Packr({ useRecords: false }).pack({ ...file, endTokenIds });
    expect(() => decodeAdapter(bytes)).toThrow(
      expect.objectContaining({ code: "adapter_invalid", message: expect.stringContaining("endTokenIds") }),
    );
  });

  it("do not fit a base without such tokens", () => {
    const linears = new Map(adapter.targets.map(({ name, dIn, dOut }) => [name, { name, dIn, dOut }]));
    const base = { baseId: adapter.baseId, linears };
    expect(() => assertFits(adapter, { ...base, vocabSize: 8 })).not.toThrow();
    expect(() => assertFits(adapter, { ...base, vocabSize: 7 })).toThrow(
      expect.objectContaining({ code: "adapter_incompatible", message: expect.stringContaining("token 7") }),
    );
  });
});
