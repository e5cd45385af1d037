/** The optimizers of ONNX Runtime that a serving session leaves out would change no family's graph. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { CPU_FORM, type DeviceForm, deviceModel } from "../../../src/device-graph/device-form.ts";
import { type OnnxGraph, decodeModel } from "../../../src/formats/onnx-proto.ts";
import { openSession } from "../../../src/runtime/ort.ts";
import { UNNEEDED_OPTIMIZERS } from "../../../src/runtime/unneeded-optimizers.ts";
import { modelCases } from "../../helpers/fixtures.ts";
import { builtBase } from "../../helpers/models/bases.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-optimizers-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** How often each operator is in the graph and its branches, with this number of inputs. */
function operatorsOf(graph: OnnxGraph, place = "", found: Record<string, number> = {}): Record<string, number> {
  for (const { opType, input, attribute } of graph.node) {
    const key = `${place}${opType} of ${input.length}`;
    found[key] = (found[key] ?? 0) + 1;
    for (const { name, g } of attribute) if (g) operatorsOf(g, `${place}${name} `, found);
  }
  return found;
}

async function optimized(dir: string, form: DeviceForm, omittedOptimizers: readonly string[]): Promise<OnnxGraph> {
  const { model } = await deviceModel(dir, form);
  const optimizedModelPath = join(scratch, "optimized.onnx");
  const options = { device: "cpu", numThreads: 1, weightsDir: dir, omittedOptimizers, optimizedModelPath } as const;
  await using _ = await openSession(model, options);
  return decodeModel(readFileSync(optimizedModelPath)).graph;
}

describe.each(modelCases())("$name", ({ dir }) => {
  it.each([
    ["float32", CPU_FORM],
    ["int8", CPU_FORM],
    ["int8", { ...CPU_FORM, attention: "stepwise", hasInt8Cache: true }],
  ] as const)("has the same graph without them (%s)", async (weights, form) => {
    const base = await builtBase(dir, { weights });
    const [all, fewer] = [await optimized(base, form, []), await optimized(base, form, UNNEEDED_OPTIMIZERS)];
    expect(operatorsOf(fewer)).toEqual(operatorsOf(all));
  });
});
