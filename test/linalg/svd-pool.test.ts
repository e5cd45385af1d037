/** Threads run the built worker, since Node 20 loads no TypeScript: `npm test` builds first. */
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runtimeProducts } from "../../src/linalg/runtime-products.ts";
import { createSvdPool } from "../../src/linalg/svd-pool.ts";
import { truncatedSvd } from "../../src/linalg/truncated-svd.ts";

const BUILT = new URL("../../dist/src/linalg/", import.meta.url);
const WORKER = new URL("svd-worker.js", BUILT);
if (!existsSync(WORKER)) throw new Error(`${WORKER.pathname} is missing: run npm run build first`);

const DYING_WORKER = new URL(
  `data:text/javascript,import { parentPort } from "node:worker_threads"; parentPort.on("message", () => process.exit(3));`,
);

function ramp(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 7919) % 101) - 50);
}

describe("createSvdPool", () => {
  it("gives the same bits as in process, for more weights than threads", async () => {
    await using pool = createSvdPool(2, WORKER);
    const shapes = [
      [20, 30],
      [30, 20],
      [8, 8],
      [1, 5],
      [40, 40],
    ] as const;
    const results = await Promise.all(
      shapes.map(([dOut, dIn]) => pool.svd(ramp(dOut * dIn), dOut, dIn, { threshold: 0.5 })),
    );
    await using products = await runtimeProducts();
    for (const [i, [dOut, dIn]] of shapes.entries())
      expect(results[i]).toEqual(await truncatedSvd(ramp(dOut * dIn), dOut, dIn, { threshold: 0.5 }, products));
  });

  it("finds its worker by itself when built", async () => {
    const built = (await import(new URL("svd-pool.js", BUILT).href)) as { createSvdPool: typeof createSvdPool };
    await using pool = built.createSvdPool(1);
    const { k } = await pool.svd(ramp(12), 3, 4, { threshold: 0.5, maxRank: 1 });
    expect(k).toBe(1);
  });

  it("takes a view into a larger buffer and leaves it to the caller", async () => {
    await using pool = createSvdPool(1, WORKER);
    const buffer = ramp(100);
    const view = buffer.subarray(10, 22);
    const result = await pool.svd(view, 3, 4, { threshold: 1 });
    expect(result).toEqual(await truncatedSvd(view, 3, 4, { threshold: 1 }));
    expect(buffer).toEqual(ramp(100));
  });

  it("passes an error on as an AppError and continues", async () => {
    await using pool = createSvdPool(1, WORKER);
    const [bad, good] = await Promise.allSettled(
      [NaN, -2].map((value) => pool.svd(Float32Array.of(value), 1, 1, { threshold: 1 })),
    );
    expect(bad).toMatchObject({ status: "rejected", reason: { name: "AppError", code: "checkpoint_invalid" } });
    expect(good).toMatchObject({ status: "fulfilled", value: { k: 1, sigma: Float32Array.of(2) } });
  });

  it("rejects the jobs of threads that die, each on its own", async () => {
    await using pool = createSvdPool(1, DYING_WORKER);
    const jobs = [1, 2, 3].map((value) => pool.svd(Float32Array.of(value), 1, 1, { threshold: 1 }));
    for (const job of await Promise.allSettled(jobs))
      expect(job).toMatchObject({
        status: "rejected",
        reason: { message: expect.stringContaining("thread of the SVD pool died") },
      });
  });

  it("rejects what is unfinished when it is closed, and what comes later", async () => {
    const pool = createSvdPool(1, WORKER);
    const jobs = [1, 2].map((value) => pool.svd(Float32Array.of(value), 1, 1, { threshold: 1 }));
    const settled = Promise.allSettled(jobs);
    await pool[Symbol.asyncDispose]();
    expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(pool.svd(Float32Array.of(1), 1, 1, { threshold: 1 })).rejects.toThrow(/closed/);
  });

  it.each([0, 1.5, NaN])("refuses %f threads", (numThreads) => {
    expect(() => createSvdPool(numThreads)).toThrow(/internal: a pool of .* SVD threads/);
  });
});
