import fc from "fast-check";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { AppError } from "../../src/errors.ts";
import { NeedsMoreBytes } from "../../src/formats/gguf/cursor.ts";
import { openGguf } from "../../src/formats/gguf/gguf-file.ts";
import { type GgufHeader, parseGgufHeader } from "../../src/formats/gguf/header.ts";
import {
  type GgufSpec,
  type TensorSpec,
  type Value,
  flag,
  float32,
  float32Tensor,
  ggufBytes,
  int32s,
  text,
  texts,
  uint32,
} from "../helpers/models/gguf.ts";
import { damaged } from "./damaged.ts";

const parse = (bytes: Uint8Array): GgufHeader => parseGgufHeader("model.gguf", bytes, bytes.length);

function expectRefused(bytes: Uint8Array, message: RegExp): void {
  const refusal = { code: "checkpoint_invalid", message: expect.stringMatching(message) };
  expect(() => parse(bytes)).toThrow(expect.objectContaining(refusal));
}

const NESTED: Value = { kind: "array", of: "array", values: [int32s([1, 2]), texts(["a"])] };
const GOOD: GgufSpec = {
  metadata: {
    "general.architecture": text("llama"),
    "llama.block_count": uint32(2),
    "llama.rope.freq_base": float32(0.5),
    "tokenizer.ggml.add_bos_token": flag(true),
    "tokenizer.ggml.tokens": texts(["a", "é", ""]),
    large: { kind: "uint64", value: 2n ** 63n },
    nested: NESTED,
  },
  tensors: [
    float32Tensor("a", [2, 3], [1, 2, 3, 4, 5, 6]),
    { name: "b", sizes: [32, 2], type: 8, data: new Uint8Array(68) },
  ],
};
const tensor = (change: Partial<TensorSpec>): GgufSpec => ({
  ...GOOD,
  tensors: [{ name: "a", sizes: [32, 2], type: 8, data: new Uint8Array(68), ...change }],
});
const metadata = (value: Value): GgufSpec => ({ metadata: { key: value } });

describe("the header of a GGUF file", () => {
  it.each([2, 3])("gives metadata and tensors of version %d", (version) => {
    const { metadata: found, tensors } = parse(ggufBytes({ ...GOOD, version }));
    expect(Object.fromEntries(found)).toEqual({
      "general.architecture": "llama",
      "llama.block_count": 2,
      "llama.rope.freq_base": 0.5,
      "tokenizer.ggml.add_bos_token": true,
      "tokenizer.ggml.tokens": ["a", "é", ""],
      large: 2n ** 63n,
      nested: [Int32Array.of(1, 2), ["a"]],
    });
    expect(tensors.get("a")).toMatchObject({ shape: [2, 3], byteLength: 24, type: { name: "F32" } });
    expect(tensors.get("b")).toMatchObject({ shape: [2, 32], byteLength: 68, type: { name: "Q8_0" } });
    expect(tensors.get("b")!.byteOffset - tensors.get("a")!.byteOffset).toBe(32);
  });

  it("asks for more bytes where the header continues, and reads the same from any part that holds it", () => {
    const bytes = ggufBytes(GOOD);
    const whole = parse(bytes);
    for (let length = 0; length < bytes.length; length++) {
      const result = (() => {
        try {
          return parseGgufHeader("model.gguf", bytes.subarray(0, length), bytes.length);
        } catch (error) {
          return error;
        }
      })();
      if (result instanceof NeedsMoreBytes) continue;
      expect(result).toEqual(whole);
    }
  });

  it("accepts an alignment of its own", () => {
    const spec = { ...GOOD, alignment: 64, metadata: { "general.alignment": uint32(64) } };
    const { tensors } = parse(ggufBytes(spec));
    for (const { byteOffset } of tensors.values()) expect(byteOffset % 64).toBe(0);
  });

  it.each<[string, GgufSpec, RegExp]>([
    ["another version", { ...GOOD, version: 1 }, /version 1, but only versions 2 and 3/],
    ["the other order of bytes", { ...GOOD, version: 0x03000000 }, /big-endian/],
    ["more metadata than bytes", { ...GOOD, metadataCount: 2n ** 60n }, /claims 1152921504606846976 metadata entries/],
    ["more tensors than bytes", { ...GOOD, tensorCount: 2n ** 60n }, /claims 1152921504606846976 tensors/],
    ["metadata of an unknown kind", metadata({ kind: "unknown", number: 13 }), /unknown kind 13/],
    ["an array of an unknown kind", metadata({ kind: "array", of: "unknown", values: [] }), /unknown kind 99/],
    ["a string that is not UTF-8", metadata({ kind: "string", value: Uint8Array.of(0xff) }), /is not UTF-8/],
    [
      "an array longer than the file",
      metadata({ ...(int32s([1]) as object), count: 2n ** 40n } as Value),
      /has the length 1099511627776/,
    ],
    [
      "an array of strings longer than the file",
      metadata({ ...(texts(["a"]) as object), count: 2n ** 40n } as Value),
      /has the length 1099511627776/,
    ],
    ["an array that nests too deep", metadata(deep(6)), /nests deeper than 4/],
    ["too many dimensions", tensor({ sizes: [32, 1, 1, 1, 2] }), /5 dimensions/],
    ["a dimension of 0", tensor({ sizes: [32, 0] }), /impossible shape \[32,0\]/],
    ["a shape beyond all numbers", tensor({ sizes: [2n ** 32n, 2n ** 32n] }), /impossible shape/],
    ["an unknown type", tensor({ type: 99 }), /unknown type 99/],
    ["rows of no whole blocks", tensor({ sizes: [16, 4] }), /rows of 16 values, but Q8_0 has blocks of 32/],
    ["a tensor larger than the file", tensor({ sizes: [2n ** 40n] }), /bytes, but the file/],
    ["a tensor outside the file", tensor({ offset: 2n ** 40n }), /outside the \d+ bytes of data/],
    ["an offset beyond all numbers", tensor({ offset: 2n ** 64n - 32n }), /outside the \d+ bytes of data/],
    ["an offset that is not aligned", tensor({ offset: 8n }), /not a multiple of 32/],
    ["a tensor twice", { ...GOOD, tensors: [GOOD.tensors![0]!, GOOD.tensors![0]!] }, /tensor "a" occurs twice/],
    [
      "tensors that overlap",
      { ...GOOD, tensors: [GOOD.tensors![0]!, { ...GOOD.tensors![1]!, offset: 0n }] },
      /overlaps the tensor before it/,
    ],
    ["an alignment of 0", { metadata: { "general.alignment": uint32(0) } }, /power of two/],
    ["an alignment that is no power of two", { metadata: { "general.alignment": uint32(48) } }, /power of two/],
    ["an alignment of another kind", { metadata: { "general.alignment": text("32") } }, /power of two/],
  ])("refuses %s", (_, spec, message) => expectRefused(ggufBytes(spec), message));

  it("refuses a key that occurs twice", () => {
    const one = ggufBytes(metadata(uint32(7)));
    const entry = one.subarray(24, 24 + 8 + 3 + 4 + 4);
    expectRefused(
      Buffer.concat([ggufBytes({ metadataCount: 2n }).subarray(0, 24), entry, entry]),
      /"key" occurs twice/,
    );
  });

  it("refuses a boolean that is neither 0 nor 1", () => {
    const bytes = ggufBytes(metadata(flag(true)));
    bytes[24 + 8 + 3 + 4] = 2;
    expectRefused(bytes, /must be 0 \(false\) or 1 \(true\), but is 2/);
  });

  it("answers every damage with an error that says so, or reads it", () => {
    const good = ggufBytes(GOOD);
    fc.assert(
      fc.property(damaged(good), (bytes) => {
        try {
          const { tensors } = parse(bytes);
          for (const { byteOffset, byteLength } of tensors.values())
            expect(byteOffset + byteLength).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
          expect((error as AppError).code).toBe("checkpoint_invalid");
        }
      }),
      { numRuns: 1000 },
    );
  });
});

function deep(levels: number): Value {
  return levels === 0 ? int32s([1]) : { kind: "array", of: "array", values: [deep(levels - 1)] };
}

describe("a GGUF model of several files", () => {
  const folder = mkdtempSync(join(tmpdir(), "mosara-split-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const part = (number: number, count: number, names: readonly string[], total = 3): Buffer =>
    ggufBytes({
      metadata: {
        "general.architecture": text(number === 0 ? "first" : "other"),
        "split.no": { kind: "uint16", value: number },
        "split.count": { kind: "uint16", value: count },
        "split.tensors.count": uint32(total),
      },
      tensors: names.map((name) => float32Tensor(name, [1, 1], [names.length])),
    });
  const write = (prefix: string, parts: readonly Buffer[]): string => {
    const count = String(parts.length).padStart(5, "0");
    const paths = parts.map((bytes, i) => {
      const path = join(folder, `${prefix}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`);
      writeFileSync(path, bytes);
      return path;
    });
    return paths[0]!;
  };

  it("is one model, whichever of its files is named", async () => {
    const first = write("good", [part(0, 2, ["a"]), part(1, 2, ["b", "c"])]);
    for (const path of [first, first.replace("00001-of", "00002-of")]) {
      await using file = await openGguf(path);
      expect([...file.tensors.keys()]).toEqual(["a", "b", "c"]);
      expect(file.metadata.get("general.architecture")).toBe("first");
      expect((await file.readRows("c", 0, 1)).data).toEqual(Float32Array.of(2));
      expect(file.paths).toHaveLength(2);
    }
  });

  it.each<[string, () => string, RegExp]>([
    [
      "a missing file",
      () => write("lacks", [part(0, 3, ["a"]), part(1, 3, ["b"])]),
      /must end in -00001-of-00003.gguf/,
    ],
    [
      "a file under another's name",
      () => write("mixed", [part(0, 2, ["a"]), part(0, 2, ["b"])]),
      /it is file 1 of 2, so its name must end in -00001-of-00002/,
    ],
    ["a tensor in two files", () => write("twice", [part(0, 2, ["a"]), part(1, 2, ["a", "b"])]), /tensor "a" lies in/],
    [
      "too few tensors",
      () => write("few", [part(0, 2, ["a"]), part(1, 2, ["b"])]),
      /announces 3 tensors, but its 2 files have 2/,
    ],
  ])("refuses %s", async (_, make, message) => {
    await expect(openGguf(make())).rejects.toMatchObject({
      code: "checkpoint_invalid",
      message: expect.stringMatching(message),
    });
  });
});
