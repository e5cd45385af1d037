/**
 * The serving graph against a decoder written out in float64, at sizes that the kernels do not like and no fixture has.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { expectAllclose, maxAbs, maxAbsDifference } from "../helpers/allclose.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { writeCheckpoint } from "../helpers/models/checkpoints.ts";
import { referenceLogits } from "../helpers/engine/reference-decoder.ts";
import { openTestRunner } from "../helpers/engine/runner.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-odd-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Sizes {
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

const CASES: readonly Sizes[] = [
  { hidden: 60, intermediate: 100, heads: 3, kvHeads: 1, headSize: 20 },
  { hidden: 64, intermediate: 172, heads: 8, kvHeads: 4, headSize: 8 },
  { hidden: 48, intermediate: 40, heads: 4, kvHeads: 4, headSize: 12 },
  { hidden: 34, intermediate: 66, heads: 2, kvHeads: 1, headSize: 2 },
  { hidden: 32, intermediate: 48, heads: 2, kvHeads: 2, headSize: 32 },
  { hidden: 24, intermediate: 33, heads: 5, kvHeads: 5, headSize: 24 },
];
const CONTEXT = 41;
const IDS = Array.from({ length: CONTEXT }, (_, i) => (i * 7 + 3) % 31);

describe.each(CASES)("$heads/$kvHeads heads of $headSize, widths $hidden and $intermediate", (sizes) => {
  const make = (): Promise<string> =>
    writeCheckpoint(
      join(scratch, Object.values(sizes).join("-")),
      {
        model_type: "llama",
        hidden_size: sizes.hidden,
        intermediate_size: sizes.intermediate,
        num_hidden_layers: 2,
        num_attention_heads: sizes.heads,
        num_key_value_heads: sizes.kvHeads,
        head_dim: sizes.headSize,
        vocab_size: 31,
        max_position_embeddings: CONTEXT,
        rms_norm_eps: 1e-5,
      },
      { scale: 0.5 },
    );
  const reference = async (dir: string): Promise<Float64Array> =>
    referenceLogits(
      dir,
      {
        numLayers: 2,
        numHeads: sizes.heads,
        numKvHeads: sizes.kvHeads,
        headSize: sizes.headSize,
        theta: 10_000,
        epsilon: 1e-5,
      },
      IDS,
    );

  it("gives the reference's logits in float32, in a prompt as long as the context, whole or in chunks", async () => {
    const dir = await make();
    const expected = await reference(dir);
    await using test = await openTestRunner(await builtBase(dir, { targets: "none" }));
    expectAllclose(await test.score(IDS, { chunk: CONTEXT }), expected, { rtolOfMax: 5e-5 }, "whole");
    expectAllclose(await test.score(IDS, { chunk: 16 }), expected, { rtolOfMax: 5e-5 }, "chunks");
  });

  it("stays close to them in int8 and float16", async () => {
    const dir = await make();
    const expected = await reference(dir);
    for (const [weights, bound] of [
      ["int8", 0.1],
      ["float16", 0.01],
    ] as const) {
      await using test = await openTestRunner(await builtBase(dir, { weights, blockSize: null, targets: "none" }));
      expect(maxAbsDifference(await test.score(IDS), expected) / maxAbs(expected), weights).toBeLessThan(bound);
    }
  });
});
