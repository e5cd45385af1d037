/** The serving graph against transformers, on every model fixture: logits, log-probabilities, greedy ids. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { modelCases, readJson } from "../helpers/fixtures.ts";
import { logprobsOf, openTestRunner } from "../helpers/engine/runner.ts";

interface Expected {
  readonly greedy: readonly { readonly prompt_ids: number[]; readonly greedy_ids: number[] }[];
}

describe.each(modelCases())("$name", ({ dir }) => {
  it("gives transformers' logits and log-probabilities in float32", async () => {
    await using test = await openTestRunner(await builtBase(dir));
    await using expected = await openSafetensors(join(dir, "expected.safetensors"));
    for (const prefix of ["", "long_"]) {
      const ids = await expected.read(`${prefix}input_ids`);
      const logits = (await expected.read(`${prefix}logits_last8`)).data as Float32Array;
      const logprobs = (await expected.read(`${prefix}logprobs`)).data as Float32Array;
      const [numRows, length] = ids.shape as [number, number];
      const V = test.runner.vocabSize;
      for (let row = 0; row < numRows; row++) {
        const prompt = Array.from(ids.data.slice(row * length, (row + 1) * length), Number);
        const got = await test.score(prompt);
        const label = `${prefix}row ${row}`;
        expectAllclose(
          got.subarray((length - 8) * V),
          logits.subarray(row * 8 * V, (row + 1) * 8 * V),
          { rtolOfMax: 5e-5 },
          label,
        );
        expectAllclose(
          logprobsOf(got, prompt, V),
          logprobs.subarray(row * (length - 1), (row + 1) * (length - 1)),
          { atol: 1e-4 },
          label,
        );
      }
    }
  });

  it("gives transformers' greedy ids in float32", async () => {
    await using test = await openTestRunner(await builtBase(dir));
    for (const { prompt_ids, greedy_ids } of readJson<Expected>(dir, "expected.json").greedy)
      expect(await test.greedy(prompt_ids, greedy_ids.length)).toEqual(greedy_ids);
  });
});

describe("a family that nobody has written", () => {
  it("is refused by name, with the known families", () => {
    expect(() => parseModelConfig({ model_type: "mamba" })).toThrow(/"mamba".*known:.*llama/);
  });
});
