import { readFileSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors, parseSafetensors } from "../../src/formats/safetensors.ts";
import { type TensorSpec, writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { DTYPES, type DType, allocate, bytesPerElement } from "../../src/tensor/dtype.ts";
import { type HostTensor, bytesOf, numElements, tensorFromBytes } from "../../src/tensor/host-tensor.ts";
import { casesIn, fixturesDir, readJson } from "../helpers/fixtures.ts";
import { damaged } from "./damaged.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "safetensors-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A file of these header bytes and this many bytes of data. */
function fileOf(header: unknown, dataBytes: number): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes, 1)]);
}

async function readAll(path: string): Promise<Map<string, HostTensor>> {
  await using file = await openSafetensors(path);
  const tensors = new Map<string, HostTensor>();
  for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
  return tensors;
}

async function expectRefused(bytes: Uint8Array, message: RegExp): Promise<void> {
  const path = join(folder, "hostile.safetensors");
  await writeFile(path, bytes);
  const refusal = { code: "checkpoint_invalid", message: expect.stringMatching(message) };
  await expect(openSafetensors(path)).rejects.toMatchObject(refusal);
  await expect(openSafetensors(path)).rejects.toThrow(path);
}

interface Expected {
  readonly tensors: Readonly<Record<string, { readonly dtype: DType; readonly shape: number[] }>>;
}

describe("golden files", () => {
  const models = fixturesDir("models");

  it.each(casesIn(models, "expected.safetensors"))("reads %s with the listed types and shapes", async (name) => {
    const { tensors } = readJson<Expected>(models, name, "expected.json");
    const read = await readAll(join(models, name, "expected.safetensors"));
    const found = [...read].map(([key, { dtype, shape }]) => [key, { dtype, shape }]);
    expect(Object.fromEntries(found)).toEqual(tensors);
  });

  it.each(casesIn(models, "config.json"))("reads every weight of %s, byte for byte", async (name) => {
    const paths = readdirSync(join(models, name))
      .filter((file) => /^model.*\.safetensors$/.test(file))
      .map((file) => join(models, name, file));
    expect(paths.length).toBeGreaterThan(0);
    for (const path of paths) {
      await using file = await openSafetensors(path);
      const bytes = readFileSync(path);
      for (const [key, { dtype, shape, byteOffset, byteLength }] of file.tensors) {
        const tensor = await file.read(key);
        expect([tensor.dtype, tensor.shape]).toEqual([dtype, shape]);
        expect(Buffer.compare(bytesOf(tensor), bytes.subarray(byteOffset, byteOffset + byteLength))).toBe(0);
      }
    }
  });
});

describe("writeSafetensors", () => {
  const dtypes = Object.keys(DTYPES) as DType[];
  const spec: fc.Arbitrary<TensorSpec> = fc.record({
    name: fc.string({ unit: "binary" }).filter((name) => name !== "__metadata__"),
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
  });
  const specs = fc.uniqueArray(spec, { selector: ({ name }) => name, maxLength: 8 });

  it("writes what openSafetensors reads, every tensor aligned to its element", async () => {
    const path = join(folder, "round-trip.safetensors");
    const metadata = fc.option(fc.dictionary(fc.string(), fc.string()), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(specs, metadata, fc.nat(255), async (wanted, texts, seed) => {
        const tensors = new Map<string, HostTensor>();
        for (const { name, dtype, shape } of wanted) {
          const bytes = new Uint8Array(numElements(shape) * bytesPerElement(dtype)).map((_, i) => seed + 31 * i);
          tensors.set(name, tensorFromBytes(dtype, shape, bytes));
        }
        const load = async (name: string) => tensors.get(name) as HostTensor;
        const places = await writeSafetensors(path, wanted, load, texts);
        await using file = await openSafetensors(path);
        expect(new Map(file.tensors)).toEqual(new Map(places));
        expect(file.metadata).toEqual(texts ?? {});
        const whole = await readFile(path);
        for (const [name, tensor] of tensors) {
          const { byteOffset = 0, byteLength = 0 } = places.get(name) ?? {};
          expect(byteOffset % bytesPerElement(tensor.dtype)).toBe(0);
          expect(Buffer.compare(whole.subarray(byteOffset, byteOffset + byteLength), bytesOf(tensor))).toBe(0);
          expect(bytesOf(await file.read(name))).toEqual(bytesOf(tensor));
        }
      }),
      { numRuns: 100 },
    );
  });

  it("loads one tensor after the other, each once", async () => {
    const wanted = ["a", "b", "c"].map((name) => ({ name, dtype: "float32" as const, shape: [100] }));
    const events: string[] = [];
    await writeSafetensors(join(folder, "order.safetensors"), wanted, async (name) => {
      events.push(`+${name}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      events.push(`-${name}`);
      return { dtype: "float32", shape: [100], data: allocate("float32", 100) };
    });
    expect(events).toEqual(["+a", "-a", "+b", "-b", "+c", "-c"]);
  });

  it("leaves the old file and nothing else when a tensor cannot be loaded or is not what was announced", async () => {
    const inner = join(folder, "failed");
    await mkdir(inner);
    const path = join(inner, "model.safetensors");
    await writeFile(path, "old");
    const wanted: TensorSpec[] = [{ name: "a", dtype: "float32", shape: [2] }];
    const wrong = { dtype: "float16", shape: [2], data: allocate("float16", 2) } as const;
    await expect(writeSafetensors(path, wanted, async () => wrong)).rejects.toThrow("internal:");
    const failing = async () => {
      throw new Error("no such weight");
    };
    await expect(writeSafetensors(path, wanted, failing)).rejects.toThrow("no such weight");
    expect(await readdir(inner)).toEqual(["model.safetensors"]);
    expect(await readFile(path, "utf8")).toBe("old");
  });
});

describe("reading in parts", () => {
  it("gives the bytes asked for, and refuses a range outside the tensor and an unknown name", async () => {
    const path = join(folder, "parts.safetensors");
    const data = Int32Array.of(1, 2, 3, 4);
    await writeSafetensors(path, [{ name: "a", dtype: "int32", shape: [4] }], async () => ({
      dtype: "int32",
      shape: [4],
      data,
    }));
    await using file = await openSafetensors(path);
    expect(await file.readBytes("a", 4, 8)).toEqual(new Uint8Array(data.buffer, 4, 8));
    await expect(file.readBytes("a", 12, 5)).rejects.toThrow("internal:");
    await expect(file.readBytes("a", -1, 5)).rejects.toThrow("internal:");
    await expect(file.read("b")).rejects.toMatchObject({ code: "checkpoint_invalid" });
    await truncate(path, (await stat(path)).size - 4);
    await expect(file.read("a")).rejects.toMatchObject({ code: "checkpoint_invalid" });
  });
});

describe("hostile files", () => {
  const one = (fields: object) => ({ a: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...fields } });

  it.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(), /0 bytes/],
    ["a header longer than the file", Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d), /claims 3 bytes/],
    ["a header of 2^64 bytes", new Uint8Array(16).fill(255), /claims 18446744073709551615/],
    ["no header", fileOf("", 0), /begin/],
    ["a header that is a list", fileOf("[]", 0), /begin/],
    ["a header that is not JSON", fileOf("{", 0), /JSON/],
    ["a header that is not UTF-8", fileOf('{"\u00ff":1}', 0).map((b) => (b === 0xc3 ? 0xff : b)), /JSON/],
    ["a tensor that is a number", fileOf({ a: 1 }, 0), /"a"/],
    ["a known type of another size", fileOf(one({ dtype: "F8_E4M3" }), 8), /"a" of F8_E4M3 \[2\] needs 2 bytes/],
    ["a dtype that is no word", fileOf(one({ dtype: 32 }), 8), /"a" has dtype 32/],
    ["a dtype from the prototype", fileOf(one({ dtype: "constructor" }), 8), /dtype "constructor"/],
    ["a negative size", fileOf(one({ shape: [-2] }), 8), /"a" has shape/],
    ["a fractional size", fileOf(one({ shape: [0.5] }), 8), /"a" has shape/],
    ["a size beyond 2^53", fileOf(one({ shape: [1e300] }), 8), /"a" has shape/],
    ["sizes whose product overflows", fileOf(one({ shape: [2 ** 30, 2 ** 30, 2 ** 30] }), 8), /impossible shape/],
    ["a range outside the file", fileOf(one({ data_offsets: [0, 12] }), 8), /outside/],
    ["a range that runs backwards", fileOf(one({ data_offsets: [8, 0] }), 8), /outside/],
    ["a range of three numbers", fileOf(one({ data_offsets: [0, 8, 8] }), 8), /data_offsets/],
    ["a range of another length", fileOf(one({ data_offsets: [0, 4] }), 8), /needs 8 bytes/],
    [
      "two tensors that overlap",
      fileOf({ ...one({}), b: { dtype: "U8", shape: [2], data_offsets: [7, 9] } }, 9),
      /"b" overlaps/,
    ],
    [
      "a hole between tensors",
      fileOf({ ...one({}), b: { dtype: "U8", shape: [1], data_offsets: [9, 10] } }, 10),
      /"b" belong/,
    ],
    ["data after the last tensor", fileOf(one({}), 9), /1 bytes after/],
    ["metadata that is no string", fileOf({ __metadata__: { a: 1 }, ...one({}) }, 8), /__metadata__/],
    ["metadata that is a list", fileOf({ __metadata__: ["a"], ...one({}) }, 8), /__metadata__/],
  ])("refuses %s, naming it", (_, bytes, message) => expectRefused(bytes, message));

  it("refuses a header over 100 MB in a file that is long enough, without reading it", async () => {
    const path = join(folder, "long.safetensors");
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(100_000_001n);
    await writeFile(path, length);
    await truncate(path, 200_000_000); // sparse: takes no space
    await expect(openSafetensors(path)).rejects.toThrow("at most 100000000 are allowed");
  });

  it("refuses a tensor larger than any memory when it is read, not before", async () => {
    const path = join(folder, "huge.safetensors");
    const bytes = 2 ** 42;
    const header = fileOf({ a: { dtype: "U8", shape: [bytes], data_offsets: [0, bytes] } }, 0);
    await writeFile(path, header);
    await truncate(path, header.length + bytes);
    await using file = await openSafetensors(path);
    await expect(file.read("a")).rejects.toMatchObject({ code: "checkpoint_invalid" });
    expect(await file.readBytes("a", bytes - 2, 2)).toEqual(new Uint8Array(2));
  });

  it("refuses folders and files that are not there", async () => {
    for (const path of [folder, join(folder, "nothing")])
      await expect(openSafetensors(path)).rejects.toMatchObject({ code: "checkpoint_invalid" });
  });

  it("keeps tensors and metadata called __proto__ harmless", async () => {
    const path = join(folder, "proto.safetensors");
    await writeFile(
      path,
      fileOf('{"__metadata__":{"__proto__":"x"},"__proto__":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1),
    );
    await using file = await openSafetensors(path);
    expect([...file.tensors.keys()]).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(file.metadata)).toBe(Object.prototype);
  });

  it.each(["F8_E4M3", "U32", "F3_E1M1"])(
    "opens beside a tensor of the type %s, which alone cannot be read",
    async (type) => {
      const length = type === "U32" ? 8 : 2;
      const header = {
        a: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
        b: { dtype: type, shape: [2], data_offsets: [8, 8 + length] },
      };
      const path = join(folder, "other-type.safetensors");
      await writeFile(path, fileOf(header, 8 + length));
      await using file = await openSafetensors(path);
      expect([...file.tensors.keys()]).toEqual(["a"]);
      expect(file.unreadable.get("b")).toEqual({ storedType: type, shape: [2] });
      expect((await file.read("a")).shape).toEqual([2]);
      const refused = { code: "checkpoint_unsupported", message: expect.stringContaining(`"b"`) };
      await expect(file.read("b")).rejects.toThrow(expect.objectContaining(refused));
      expect(() => parseSafetensors(readFileSync(path), path)).toThrow(expect.objectContaining(refused));
    },
  );

  it("fails with the documented error or reads something, whatever the damage", async () => {
    const path = join(folder, "fuzz.safetensors");
    const good = fileOf(
      { __metadata__: { k: "v" }, ...one({}), b: { dtype: "U8", shape: [2], data_offsets: [8, 10] } },
      10,
    );
    await fc.assert(
      fc.asyncProperty(damaged(good), async (bytes) => {
        await writeFile(path, bytes);
        await readAll(path).catch((error: unknown) => expect(error).toMatchObject({ code: "checkpoint_invalid" }));
      }),
      { numRuns: 1000 },
    );
  });
});
