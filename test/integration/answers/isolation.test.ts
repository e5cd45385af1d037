/**
 * The same request alone and in a batch, over HTTP: equal ids and equal bits of log-probabilities, in every weight
 * format.
 */
import { describe, expect, it } from "vitest";
import { readManifest } from "../../../src/base/manifest.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { llamaCheckpoint } from "../../helpers/models/golden-base.ts";
import { complete, putAdapter, startServer, untilIdle } from "../../helpers/server.ts";

const LENGTHS = [1, 5, 63, 64, 65, 30, 90, 2];
const CROWDS = [1, 2, 3, 7, 15];

describe.each(["float32", "int8", "int4"] as const)("in %s", (weights) => {
  it("a request has the same bits alone and beside any others", async () => {
    const float32 = await builtBase(llamaCheckpoint());
    const base = weights === "float32" ? float32 : await builtBase(llamaCheckpoint(), { weights, basisFrom: float32 });
    const manifest = await readManifest(base);
    await using server = await startServer(["--model", base, "--served-model-name", "base", "--no-prefix-cache"]);
    const models = ["base", "one", "three", "sara", "lora"];
    await putAdapter(server.url, "one", adapterFile(manifest, { seed: 1 }));
    await putAdapter(server.url, "three", adapterFile(manifest, { heads: 3, router: "full", seed: 2 }));
    await putAdapter(server.url, "sara", adapterFile(manifest, { method: "sara", seed: 3 }));
    await putAdapter(server.url, "lora", adapterFile(manifest, { method: "lora", rank: 8, seed: 4 }));
    const ask = async (number: number): Promise<unknown> => {
      const length = LENGTHS[number % LENGTHS.length] ?? 1;
      const { status, json, text } = await complete(server.url, {
        model: models[number % models.length],
        prompt: Array.from({ length }, (_, i) => 3 + ((i * 31 + number * 17) % 360)),
        max_tokens: 24,
        temperature: number % 3 === 0 ? 0 : 0.8,
        seed: number,
        logprobs: 3,
      });
      expect(status, text).toBe(200);
      return [json.choices[0]?.token_ids, json.choices[0]?.logprobs]; // JSON keeps every bit of a number
    };
    const alone: unknown[] = [];
    for (let number = 0; number < 16; number++) {
      alone.push(await ask(number));
      await untilIdle(server.url);
    }
    for (const crowd of CROWDS)
      for (const first of [0, 5]) {
        const numbers = Array.from({ length: crowd + 1 }, (_, i) => (first + i) % 16);
        const together = await Promise.all(numbers.map(ask));
        for (const [i, number] of numbers.entries())
          expect(together[i], `request ${number} beside ${crowd} others`).toEqual(alone[number]);
      }
  });
});
