/**
 * What a step on a device costs the bus, what it says of a sequence's neighbours, and how far other weights are from
 * the CPU's answers. A part of on-device.test.ts.
 */
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { SERVE_GRAPH_FILE } from "../../../src/base/base.ts";
import { BEST } from "../../../src/engine/sampling/logit-rows.ts";
import { isBatchInvariant } from "../../../src/engine/process/self-test.ts";
import { decodeModel, encodeModel } from "../../../src/formats/onnx-proto.ts";
import { Session, type Traffic } from "../../../src/runtime/ort.ts";
import { maxAbs, maxAbsDifference } from "../../helpers/allclose.ts";
import { adapterFor } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { llamaCheckpoint } from "../../helpers/models/golden-base.ts";
import { logprobsOf, openTestRunner, startRows } from "../../helpers/engine/runner.ts";
import { describeOnWebgpu } from "../../helpers/engine/webgpu.ts";

const PROMPT = [5, 17, 33, 2, 60, 44, 91, 12, 7, 150];

/** Sums what all sessions that ran since the spy was set have brought over the bus. */
function watchBus(): () => Traffic {
  const spy = vi.spyOn(Session.prototype, "run");
  return () => {
    const sessions = [...new Set(spy.mock.contexts as Session[])];
    const sum = (way: keyof Traffic): number => sessions.reduce((total, { traffic }) => total + traffic[way], 0);
    return { toDevice: sum("toDevice"), toHost: sum("toHost") };
  };
}

/** The base with quantised products computed on activations as they are. */
async function exactBase(dir: string): Promise<string> {
  const exact = `${dir}.exact`;
  await cp(dir, exact, { recursive: true });
  const model = decodeModel(await readFile(join(dir, SERVE_GRAPH_FILE)));
  const node = model.graph.node.map((one) => ({
    ...one,
    attribute: one.attribute.map((given) => (given.name === "accuracy_level" ? { ...given, i: 1 } : given)),
  }));
  await writeFile(join(exact, SERVE_GRAPH_FILE), encodeModel({ ...model, graph: { ...model.graph, node } }));
  return exact;
}

export function describeSteps(): void {
  describeOnWebgpu("a step on a device", () => {
    afterEach(() => vi.restoreAllMocks());

    it("brings token ids alone, and adapters when the batch changes", { timeout: 900_000 }, async () => {
      await using test = await openTestRunner(await builtBase(llamaCheckpoint()), "webgpu");
      const adapters = [1, 2].map((seed) => test.ready(adapterFor(test.manifest, { seed }), `generation-${seed}`));
      const rows = await startRows(test, PROMPT, [...adapters, null]);
      const bus = watchBus();
      const step = async (past: number): Promise<Traffic> => {
        const before = bus();
        const logits = await test.runner.decode(rows.map((row) => ({ ...row, past })));
        const found = await logits.read(rows.map(() => BEST));
        expect(found.map((row) => row?.kind)).toEqual(["top", "top", "top"]);
        const after = bus();
        return { toDevice: after.toDevice - before.toDevice, toHost: after.toHost - before.toHost };
      };
      const first = await step(10);
      const second = await step(11);
      // A token id and a sum a row; ids, positions and switches of three rows.
      expect(second.toHost).toBe(rows.length * (8 + 4));
      expect(second.toDevice).toBeLessThan(500);
      expect(first.toDevice - second.toDevice).toBeGreaterThan(adapters[0]!.bytes); // the batch was new
      expect(test.device.bytes()).toMatchObject({ kv: test.device.cache.bytes, adapters: expect.any(Number) });
      expect(test.device.cache.bytes).toBeGreaterThan(0);

      // The law "alone = in a batch": whatever the self-test says of the bits, the values hold.
      const [inCompany] = [await (await test.runner.decode(rows.map((row) => ({ ...row, past: 12 })))).all()];
      for (const { id } of rows.slice(1)) test.runner.kv.release(id);
      const alone = await (await test.runner.decode([{ ...rows[0]!, past: 12 }])).all();
      const V = test.runner.vocabSize;
      expect(maxAbsDifference(alone, inCompany!.subarray(0, V))).toBeLessThan(1e-5 * maxAbs(alone));
      test.runner.kv.release(rows[0]!.id);
      console.log(`same bits alone and in a batch on this device: ${await isBatchInvariant(test.runner, 3)}`);
    });

    // float16 weights are computed with in float32 where the device knows no float16. Quantised products may round
    // activations to int8: the CPU does, a device where the width is a multiple of 128. Both are compared with the CPU
    // without that rounding.
    it.each([
      ["float16", "as served", 2e-3],
      ["int4", "without rounded activations", 2e-3],
      ["int4", "as served", 0.15],
    ] as const)(
      "answers from %s weights, %s, within %f of the CPU's log-probabilities",
      { timeout: 900_000 },
      async (weights, how, bound) => {
        const dir = await builtBase(llamaCheckpoint(), { weights, targets: "none" });
        const exact = await exactBase(dir);
        const scored: Float32Array[] = [];
        for (const [from, device] of [
          [exact, "cpu"],
          [how === "as served" ? dir : exact, "webgpu"],
        ] as const) {
          await using test = await openTestRunner(from, device);
          scored.push(Float32Array.from(logprobsOf(await test.score(PROMPT), PROMPT, test.runner.vocabSize)));
        }
        expect(maxAbsDifference(scored[0]!, scored[1]!)).toBeLessThan(bound); // one a device
      },
    );
  });
}
