/** Which matrix of a base is held how: the kind's layouts, and what a matrix's own width and numbers ask for. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chooseLayouts } from "../../../src/base/build/choose-layouts.ts";
import { openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { bitsPerWeight } from "../../../src/model/serve/quantized-matrix.ts";
import { type QuantizedKind, type WeightLayouts, layoutOf } from "../../../src/model/serve/weight-layouts.ts";
import { fromFloat32, toFloat32 } from "../../../src/tensor/host-tensor.ts";
import { TOY_CONFIG, writeCheckpoint } from "../../helpers/models/checkpoints.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "mosara-layouts-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const WIDE = { ...TOY_CONFIG, hidden_size: 64, head_dim: 32, intermediate_size: 96 };

async function layoutsFor(
  kind: QuantizedKind,
  changes: object = {},
  tiny: string | null = null,
  dtype: "float32" | "float16" | "bfloat16" = "float32",
): Promise<WeightLayouts> {
  const path = await writeCheckpoint(
    join(dir, `${kind}-${tiny}-${dtype}-${JSON.stringify(changes).length}`),
    { ...WIDE, ...changes },
    {
      dtype,
      change: (tensors) => {
        for (const [name, tensor] of tensors)
          if (tiny !== null && name.includes(tiny)) {
            const data = fromFloat32(
              toFloat32(tensor).map((value) => value * 1e-5),
              dtype,
            );
            tensors.set(name, { ...tensor, data });
          }
      },
    },
  );
  await using checkpoint = await openCheckpoint(path);
  return await chooseLayouts(checkpoint, kind, null);
}

describe("the layouts of a base", () => {
  it("of int4 have a minimum a block at no more bits than Q4_1, and 8 bits for the vocabulary projection", async () => {
    const layouts = await layoutsFor("int4");
    const usual = layoutOf(layouts, "layers.0.mlp.in");
    expect(usual).toMatchObject({ bits: 4, blockSize: 32, hasMinimums: true, hasZeroPoints: false });
    expect(bitsPerWeight(usual)).toBeLessThanOrEqual(5);
    expect(layoutOf(layouts, "lm_head")).toMatchObject({ bits: 8, blockSize: 32 });
    expect(bitsPerWeight(layoutOf(layouts, "lm_head"))).toBeLessThanOrEqual(8.5);
  });

  it("of int8 are one for all", async () => {
    const layouts = await layoutsFor("int8");
    expect(Object.keys(layouts)).toEqual(["default"]);
    expect(layoutOf(layouts, "lm_head")).toMatchObject({ bits: 8, blockSize: 32, hasZeroPoints: true });
  });

  it("have zero points instead of minimums where blocks do not divide the rows", async () => {
    const layouts = await layoutsFor("int4", { intermediate_size: 100 });
    expect(layouts["layers.0.mlp.down"]).toMatchObject({ hasMinimums: false, hasZeroPoints: true });
    expect(layoutOf(layouts, "layers.0.mlp.in").hasMinimums).toBe(true);
  });

  it.each(["float32", "float16", "bfloat16"] as const)(
    "have scales in float32 where weights in %s are too small for those of float16",
    async (dtype) => {
      const layouts = await layoutsFor("int8", {}, "mlp.down_proj", dtype);
      expect(layouts["layers.0.mlp.down"]?.scaleType).toBe("float32");
      expect(layoutOf(layouts, "layers.0.mlp.in").scaleType).toBe("float16");
    },
  );
});
