import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { SMOKE, randomCheckpoint } from "../../../load-tests/inputs/random-checkpoint.ts";
import { openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { toFloat32 } from "../../../src/tensor/host-tensor.ts";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.ts";

const root = mkdtempSync(join(tmpdir(), "mosara-random-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const shape = { ...SMOKE, layers: 1 };

const hashOf = (dir: string): string =>
  createHash("sha256")
    .update(readFileSync(join(dir, "model.safetensors")))
    .digest("hex");

it("gives equal weights for equal seeds and others for others", async () => {
  const first = await randomCheckpoint(join(root, "a"), shape);
  expect(await randomCheckpoint(join(root, "a"), shape)).toBe(first);
  expect(hashOf(await randomCheckpoint(join(root, "b"), shape))).toBe(hashOf(first));
  expect(hashOf(await randomCheckpoint(join(root, "a"), { ...shape, seed: 2 }))).not.toBe(hashOf(first));
});

it.each(["bfloat16", "float16", "float32"] as const)(
  "draws %s weights of deviation 0.02 that a build takes",
  async (dtype) => {
    await using checkpoint = await openCheckpoint(await randomCheckpoint(root, { ...shape, dtype }));
    // Every decoder has one.
    const { name } = checkpoint.tensors.find((tensor) => tensor.name.endsWith("down_proj.weight"))!;
    const values = toFloat32(await checkpoint.read(name));
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(Math.sqrt(square)).toBeCloseTo(0.02, 3);
    expect(mean).toBeCloseTo(0, 3);
  },
);

it("comes with a tokenizer that gives any text back", async () => {
  const tokenizer = await loadTokenizer(await randomCheckpoint(root, shape));
  const text = "word1 über\n{}";
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
});
