/**
 * The serving graph that reads its own logits: what goes in and comes out, and on real graphs the same tokens and bits
 * as whole rows have.
 */
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SERVE_GRAPH_FILE } from "../../src/base/base.ts";
import { withReadLogits } from "../../src/device-graph/read-logits.ts";
import { GREEDY } from "../../src/engine/engine.ts";
import { BEST, type LogitRow, type RowNeed, WHOLE } from "../../src/engine/sampling/logit-rows.ts";
import type { DecodeRow } from "../../src/engine/contracts.ts";
import type { AdapterRow } from "../../src/engine/adapters/adapter-row.ts";
import { chooseToken, createSamplerScratch } from "../../src/engine/sampling/sampler.ts";
import { createSamplingState } from "../../src/engine/sampling/sampling-state.ts";
import { decodeModel } from "../../src/formats/onnx-proto.ts";
import { adapterFor } from "../helpers/models/base-adapters.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { modelCases } from "../helpers/fixtures.ts";
import { openTestRunner, startRows, type TestRunner } from "../helpers/engine/runner.ts";

const PROMPT = [5, 17, 33, 2, 60];
const names = (infos: readonly { readonly name: string }[]): string[] => infos.map(({ name }) => name);

/** One step of the rows, each read as said. */
async function step(test: TestRunner, rows: readonly DecodeRow<AdapterRow>[], needs: readonly RowNeed[]) {
  const logits = await test.runner.decode(rows.map((row, i) => ({ ...row, need: needs[i]! }))); // one a row
  return (await logits.read(needs)).map((row) => row!); // asked for
}

function greedy(row: LogitRow, vocabSize: number): number | null {
  return chooseToken(row, createSamplingState(GREEDY, new Int32Array()), [], createSamplerScratch(vocabSize));
}

describe.each(modelCases())("of $name", ({ dir }) => {
  let test: TestRunner;
  beforeAll(async () => {
    test = await openTestRunner(await builtBase(dir));
  });
  afterAll(() => test[Symbol.asyncDispose]());

  it("has the outputs of what is read in the place of the logits, and one input more", async () => {
    const path = join(await builtBase(dir, { targets: "none" }), SERVE_GRAPH_FILE);
    const stored = decodeModel(new Uint8Array(readFileSync(path)));
    const { graph } = withReadLogits(stored);
    expect(names(graph.input)).toEqual([...names(stored.graph.input), "is_whole"]);
    const others = names(stored.graph.output).filter((name) => name !== "logits");
    expect(names(graph.output)).toEqual([...others, "best_ids", "row_sums", "block_maxima", "whole_logits"]);
    const made = graph.node.flatMap(({ output }) => output);
    expect(new Set(made).size).toBe(made.length);
    expect(() => withReadLogits({ ...stored, graph: { ...stored.graph, output: [] } })).toThrow(/without logits/);
  });

  it("gives the best tokens and the bits of whole rows, mixed as they may be", async () => {
    const { vocabSize } = test.runner;
    for (const numRows of [1, 2, 3, 5]) {
      const adapters = Array.from({ length: numRows }, (_, i) =>
        i % 2 === 0 ? test.ready(adapterFor(test.manifest, { seed: i + 1 }), `of row ${i}`) : null,
      );
      const rows = await startRows(test, PROMPT, adapters);
      const whole = await step(
        test,
        rows,
        rows.map(() => WHOLE),
      );
      const wholeLogits = whole.map((row) => (row as { logits: Float32Array }).logits.slice());
      for (const first of [BEST, WHOLE]) {
        const needs = rows.map((_, i) => (i % 2 === 0 ? first : first === BEST ? WHOLE : BEST));
        for (const [i, row] of (await step(test, rows, needs)).entries()) {
          const logits = wholeLogits[i]!; // as many
          expect(greedy(row, vocabSize), `row ${i} of ${numRows}`).toBe(logits.indexOf(Math.max(...logits)));
          if (row.kind === "whole") expect(row.logits).toEqual(logits);
          expect(row.kind).toBe(needs[i] === WHOLE ? "whole" : "top");
        }
      }
      for (const { id } of rows) test.runner.kv.release(id);
    }
  });

  it("lets a tenant whose adapter makes no numbers fail alone", async () => {
    const { vocabSize } = test.runner;
    const broken = test.ready(adapterFor(test.manifest, { seed: 1 }), "broken");
    const rows = await startRows(test, PROMPT, [
      null,
      null,
      test.ready(adapterFor(test.manifest, { seed: 2 }), "sound"),
    ]);
    const needs = [BEST, BEST, WHOLE];
    const sound = (await step(test, rows, needs)).map((row) => greedy(row, vocabSize));
    for (const scale of broken.scales) scale.fill(NaN);
    rows[1] = { ...rows[1]!, adapter: broken };
    const [first, second, third] = await step(test, rows, needs);
    expect(() => greedy(second!, vocabSize)).toThrow(/logit of NaN/);
    expect([greedy(first!, vocabSize), greedy(third!, vocabSize)]).toEqual([sound[0], sound[2]]);
    for (const { id } of rows) test.runner.kv.release(id);
  });
});
