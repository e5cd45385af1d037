import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { READABLE_TYPES } from "../../src/formats/gguf/block-types.ts";
import { openGguf } from "../../src/formats/gguf/gguf-file.ts";
import { KEPT_TYPES, keptBlocks } from "../../src/formats/gguf/kept-blocks.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { type QuantizedLayout, dequantized, plainLayout } from "../../src/model/serve/quantized-matrix.ts";
import { bytesOf, hostTensor, toFloat32 } from "../../src/tensor/host-tensor.ts";
import { GGUF_GOLDEN } from "../helpers/fixtures.ts";

describe("the types of tensors", () => {
  it.each(READABLE_TYPES)("reads %s bit for bit as the Python package gguf does", async (name) => {
    await using file = await openGguf(join(GGUF_GOLDEN, "types.gguf"));
    await using golden = await openSafetensors(join(GGUF_GOLDEN, "types.safetensors"));
    const found = toFloat32(await file.readRows(name, 0, 3));
    const wanted = await golden.read(name);
    expect(found.length).toBe(3 * 512);
    const bytes = bytesOf(hostTensor("float32", wanted.shape, found));
    expect(Buffer.from(bytes).equals(bytesOf(wanted))).toBe(true);
  });

  it.each(KEPT_TYPES)("keeps the numbers of %s: they are the decoded ones to the bit", async (name) => {
    await using file = await openGguf(join(GGUF_GOLDEN, "types.gguf"));
    const coded = await file.readCodedRows(name, 0, 3);
    const blocks = keptBlocks(name, coded.data as Uint8Array); // as readCodedRows says
    const layout: QuantizedLayout = {
      ...plainLayout(name === "Q8_0" ? 8 : 4, 32),
      hasMinimums: blocks.minimums !== null,
    };
    const matrix = { layout, dOut: 3, dIn: 512, zeroPoints: null, ...blocks };
    expect(Float32Array.from(dequantized(matrix))).toEqual(toFloat32(await file.readRows(name, 0, 3)));
  });

  it("reads some rows alone", async () => {
    await using file = await openGguf(join(GGUF_GOLDEN, "types.gguf"));
    const all = toFloat32(await file.readRows("Q4_K", 0, 3));
    const middle = await file.readRows("Q4_K", 1, 1);
    expect(middle.shape).toEqual([1, 512]);
    expect(middle.data).toEqual(all.slice(512, 1024));
  });
});
