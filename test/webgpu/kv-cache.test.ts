/** The KV cache in a device's memory keeps the contract of the host's, and nothing of it crosses the bus. */
import { afterAll, expect, it } from "vitest";
import { DeviceKvCache } from "../../src/engine/kv/device-kv-cache.ts";
import { Graph } from "../../src/graph/graph.ts";
import { identity } from "../../src/graph/ops/elementwise.ts";
import { serializeGraph } from "../../src/graph/serialize.ts";
import { DeviceMemory } from "../../src/runtime/device-memory.ts";
import { type Session, openSession, runtimeTensor } from "../../src/runtime/ort.ts";
import { type CacheUnderTest, POSITION, Traffic, assertTraffic } from "../helpers/engine/kv-traffic.ts";
import { SHAPE } from "../helpers/engine/kv-values.ts";
import { describeOnWebgpu } from "../helpers/engine/webgpu.ts";

describeOnWebgpu("the cache on a device", () => {
  const memory = new DeviceMemory();
  let writing: Promise<Session> | null = null;
  afterAll(async () => {
    await memory[Symbol.asyncDispose]();
    await (await writing)?.[Symbol.asyncDispose]();
  });

  /** A model that writes what it is fed into the tensor it is fetched into. */
  function openWriter(): Promise<Session> {
    const graph = new Graph("write");
    graph.output(identity(graph.input("x", "float32", ["B", "K", "S", "D"])), "y");
    return openSession(serializeGraph(graph), { device: "webgpu", numThreads: 1 });
  }

  const onDevice = (maxBytes: number): CacheUnderTest => ({
    cache: new DeviceKvCache(SHAPE, { memory, dtype: "float32", maxBytes }),
    read: async (tensor) => (await memory.download([tensor]))[0] as Float32Array,
    write: async (tensor, values) => {
      const session = await (writing ??= openWriter());
      await session.run({ x: runtimeTensor("float32", values, tensor.dims) }, { y: tensor });
    },
  });

  it("keeps every row's values and stays within its bytes under random traffic", () =>
    assertTraffic(onDevice, { rowMultiple: 1, numRuns: 15, maxLength: 25 }));

  it("keeps what is left of a batch within its bytes when those before it go", async () => {
    const traffic = new Traffic(onDevice(256 * POSITION), 256 * POSITION, 1); // two rows of the least length
    for (let i = 0; i < 2; i++) {
      traffic.admit(2);
      await traffic.prefill(0, 1);
      traffic.startDecoding(0);
    }
    await traffic.check();
    traffic.release(traffic.sequences[0]!); // two were admitted
    await traffic.check();
    await traffic.decode();
    await traffic.check();
  });

  it("keeps rows whose places are exchanged, in the batch and out of it", async () => {
    const traffic = new Traffic(onDevice(4096 * POSITION), 4096 * POSITION, 1);
    for (let i = 0; i < 5; i++) traffic.admit(100);
    for (let i = 0; i < 5; i++) await traffic.prefill(i, 5 + i);
    for (let i = 0; i < 5; i++) traffic.startDecoding(0);
    await traffic.decode();
    await traffic.check();
    traffic.release(traffic.sequences[1]!); // five were admitted
    traffic.release(traffic.sequences[0]!);
    traffic.admit(300);
    await traffic.prefill(0, 280);
    traffic.startDecoding(0);
    await traffic.decode();
    await traffic.check();
  });

  it("leaves every row as it was when the device has no room for more", async () => {
    const cache = new DeviceKvCache(
      { numLayers: 1, numKvHeads: 64, headSize: 64 },
      { memory, dtype: "float32", maxBytes: 2 ** 40 },
    );
    const { feeds } = await cache.view(0, 1, 10);
    const before = await memory.download(Object.values(feeds));
    // One buffer of more than 2 GiB, which is beyond what SwiftShader allows.
    await expect(cache.view(0, 1, 2 ** 17 + 1)).rejects.toMatchObject({
      code: "insufficient_memory",
      isLasting: false,
    });
    const after = await cache.view(0, 1, 10);
    const now = await memory.download(Object.values(after.feeds));
    const isSame = now.map(({ buffer }, i) => Buffer.from(buffer).equals(Buffer.from(before[i]!.buffer))); // as many
    expect(isSame).toEqual(before.map(() => true));
    cache.clear();
    expect(cache.bytes).toBe(0);
  });
});
