import { describe, expect, it } from "vitest";
import { multiplesOf } from "../../../src/engine/process/row-multiple.ts";
import { plainLayout } from "../../../src/model/serve/quantized-matrix.ts";

type Settings = Parameters<typeof multiplesOf>[0];
type Layouts = NonNullable<Parameters<typeof multiplesOf>[1]["layouts"]>;

const ON_CPU: Settings = { requiresBatchInvariance: true, device: "cpu" };
const AVX2 = ["avx", "avx2", "f16c", "fma", "sse4_1"];
const INT8_32 = plainLayout(8, 32);

describe("the numbers of rows that are tried", () => {
  const tried = (layouts: Layouts | null, features: readonly string[], settings = ON_CPU) =>
    multiplesOf(settings, { layouts }, () => Promise.resolve({ arch: "x64", features }));

  it("begin with one row for int8 in blocks of 32 on a CPU with AVX2 alone", async () => {
    expect(await tried({ mlp: INT8_32, head: INT8_32 }, AVX2)).toEqual([1, 2]);
  });

  // The first three broke the law of isolation unpadded, although the self-test passed.
  it.each<[string, Layouts, readonly string[]]>([
    ["AVX-512 VNNI", { mlp: INT8_32 }, [...AVX2, "avx512f", "avx512_vnni"]],
    ["AMX", { mlp: INT8_32 }, [...AVX2, "avx512f", "avx512_vnni", "amx_int8"]],
    ["int4 in blocks of 128", { mlp: plainLayout(4, 128) }, AVX2],
    ["AVX2 with VNNI", { mlp: INT8_32 }, [...AVX2, "avx_vnni"]],
    ["AVX-512 alone", { mlp: INT8_32 }, [...AVX2, "avx512f"]],
    ["a CPU without AVX2", { mlp: INT8_32 }, ["sse4_1"]],
    ["a CPU that names no features", { mlp: INT8_32 }, []],
    ["one matrix of another format", { mlp: INT8_32, head: plainLayout(8, 128) }, AVX2],
    ["products in float32", { mlp: { ...INT8_32, accuracyLevel: 1 } }, AVX2],
  ])("are even with %s", async (_, layouts, features) => {
    expect(await tried(layouts, features)).toEqual([2]);
  });

  it.each<[string, Layouts | null, Settings]>([
    ["weights are not quantised", null, ON_CPU],
    ["the device is a GPU", { mlp: INT8_32 }, { ...ON_CPU, device: "webgpu" }],
    ["isolation is not asked for", { mlp: INT8_32 }, { ...ON_CPU, requiresBatchInvariance: false }],
  ])("are any where %s", async (_, layouts, settings) => {
    expect(await tried(layouts, AVX2, settings)).toEqual([1]);
  });
});
