/**
 * Attention in plain operators is the CPU kernel's for every kind of layer of every model, and a kernel that ignores a
 * setting is found out.
 */
import { describe, expect, it } from "vitest";
import { CPU_FORM, type DeviceForm } from "../../../src/device-graph/device-form.ts";
import { attentionProblem, expectedAttention, rightAttention } from "../../../src/engine/run/attention-check.ts";
import { HostKvCache } from "../../../src/engine/kv/host-kv-cache.ts";
import type { CacheShape } from "../../../src/engine/kv/kv-cache.ts";
import { parseModelConfig } from "../../../src/model/families.ts";
import { modelCases, readJson } from "../../helpers/fixtures.ts";

const cases = modelCases().map(({ name, dir }) => ({
  name,
  config: parseModelConfig(readJson<Record<string, unknown>>(dir, "config.json")),
}));
type Config = (typeof cases)[number]["config"];

const CPU = { name: "cpu", newCache: (shape: CacheShape) => new HostKvCache(shape) } as const;
const withWindows = (config: Config, window: number | null): Config => ({
  ...config,
  windows: config.windows.map(() => window),
});

describe.each(cases)("attention of $name", ({ config }) => {
  it("is the same in plain operators, over a cache of float32 or float16", async () => {
    const expected = await expectedAttention(config);
    const plain: DeviceForm = { ...CPU_FORM, attention: "plain" };
    expect(await attentionProblem(config, plain, CPU, expected, 1e-5)).toBeNull();
    const half = { name: "cpu", newCache: (shape: CacheShape) => new HostKvCache(shape, "float16") } as const;
    expect(await attentionProblem(config, { ...plain, hasHalfAttention: true }, half, expected, 1e-2)).toBeNull();
  });

  it("is found wrong where a cap or a window of a usual size is ignored", async () => {
    const uncapped = { ...config, scoreSoftCap: 0 };
    const capped = await expectedAttention({ ...config, scoreSoftCap: 50 });
    expect(await attentionProblem(uncapped, CPU_FORM, CPU, capped)).toMatch(/^is off by/);
    const windowed = await expectedAttention(withWindows(config, 4096));
    expect(await attentionProblem(withWindows(config, null), CPU_FORM, CPU, windowed)).toMatch(/^is off by/);
  });
});

it("refuses a device on which no way is right, naming the operators of each", async () => {
  const { config } = cases[0]!; // there is one
  // A cache that forgets: what a device with broken kernels would give.
  class Forgetful extends HostKvCache {
    override view(first: number, count: number): ReturnType<HostKvCache["view"]> {
      this.clear();
      this.ensure(first + count, 512);
      return super.view(first, count);
    }
  }
  const device = { name: "cpu", newCache: (shape: CacheShape) => new Forgetful(shape) } as const;
  await expect(rightAttention(config, CPU_FORM, device)).rejects.toMatchObject({
    code: "device_unavailable",
    message: expect.stringMatching(
      /GroupQueryAttention.*smooth_softmax.*ScatterElements, MatMul and Softmax.*--device cpu/,
    ),
  });
});
