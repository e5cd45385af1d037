/** Blends and pooled hidden states on a device: the CPU's numbers. A part of on-device.test.ts. */
import { expect, it } from "vitest";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { maxAbs, maxAbsDifference } from "../../helpers/allclose.ts";
import { adapterFor } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { llamaCheckpoint } from "../../helpers/models/golden-base.ts";
import { freshId, openTestRunner, type TestRunner } from "../../helpers/engine/runner.ts";
import { describeOnWebgpu } from "../../helpers/engine/webgpu.ts";

const PROMPT = Array.from({ length: 70 }, (_, i) => (3 + i * 37) % 300);

/** A blend whose row has a Mo-SARA part of several heads, a further term and a low-rank part. */
function blendOf(test: TestRunner): AdapterRow {
  return test.blend([
    { adapter: adapterFor(test.manifest, { heads: 3, seed: 1 }), weight: 0.4 },
    { adapter: adapterFor(test.manifest, { seed: 2 }), weight: 0.3 },
    { adapter: adapterFor(test.manifest, { method: "lora", rank: 5, seed: 3 }), weight: 0.5 },
  ]);
}

/** Hidden states of every position, in two chunks. */
async function hiddenOf({ runner }: TestRunner, adapter: AdapterRow | null): Promise<Float32Array> {
  const id = freshId();
  runner.kv.admit(id, PROMPT.length);
  const chunks: number[] = [];
  for (let past = 0; past < PROMPT.length; past += 64) {
    const tokenIds = Int32Array.from(PROMPT.slice(past, past + 64));
    const hiddenPositions = Array.from(tokenIds.keys());
    chunks.push(...(await runner.prefillHidden({ id, past, tokenIds, adapter, hiddenPositions })));
  }
  runner.kv.release(id);
  return Float32Array.from(chunks);
}

export function describeBlends(): void {
  describeOnWebgpu("on a device", () => {
    it("a blend and its hidden states are the CPU's", { timeout: 600_000 }, async () => {
      const dir = await builtBase(llamaCheckpoint());
      await using cpu = await openTestRunner(dir);
      await using device = await openTestRunner(dir, "webgpu");
      const expectAlike = (got: Float32Array, wanted: Float32Array): void => {
        expect(got).toHaveLength(wanted.length);
        expect(maxAbsDifference(got, wanted) / maxAbs(wanted)).toBeLessThan(1e-3);
      };
      const [onCpu, onDevice] = [blendOf(cpu), blendOf(device)];
      expectAlike(await device.score(PROMPT, { adapter: onDevice }), await cpu.score(PROMPT, { adapter: onCpu }));
      expectAlike(await hiddenOf(device, onDevice), await hiddenOf(cpu, onCpu));
      expectAlike(await hiddenOf(device, null), await hiddenOf(cpu, null));
      expect(await device.greedy(PROMPT, 8, onDevice)).toEqual(await cpu.greedy(PROMPT, 8, onCpu));
    });
  });
}
