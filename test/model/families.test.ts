/** Further families against transformers: the serving graph's logits, and the training graph's loss and gradients. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { allLinears } from "../../src/model/linears.ts";
import { foreignNames } from "../../src/model/families.ts";
import { peftNames } from "../../src/model/peft-names.ts";
import { buildTrainGraph } from "../../src/model/train/train-graph.ts";
import { toFloat32 } from "../../src/tensor/host-tensor.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { casesIn } from "../helpers/fixtures.ts";
import { runSession } from "../helpers/run-graph.ts";
import { openTestRunner } from "../helpers/engine/runner.ts";
import { feedsOf, stageTensors } from "../helpers/models/training-cases.ts";

const GOLDEN = join(import.meta.dirname, "../golden/families");
const floats = (data: unknown): Float32Array => data as Float32Array;

it.each(["gemma3", "mistral3"])("the text part of %s has a configuration of its own", async (name) => {
  await using checkpoint = await openCheckpoint(join(GOLDEN, name));
  expect(checkpoint.notices).toEqual(["The model of the checkpoint also reads images. Only its text part is used."]);
  const text = await checkpoint.texts.get("config.json")?.();
  const {
    model_type: type,
    architectures,
    vision_config: vision,
  } = JSON.parse(String(text)) as Record<string, unknown>;
  expect({ type, architectures, vision }).toEqual({
    type: name === "gemma3" ? "gemma3_text" : "ministral3",
    architectures: [name === "gemma3" ? "Gemma3ForCausalLM" : "Ministral3ForCausalLM"],
    vision: undefined,
  });
});

describe.each(casesIn(GOLDEN, "expected.safetensors"))("%s", (name) => {
  const dir = join(GOLDEN, name);

  it("gives transformers' logits, at once and in chunks", async () => {
    await using expected = await openSafetensors(join(dir, "expected.safetensors"));
    const ids = Array.from((await expected.read("input_ids")).data, Number);
    const logits = floats((await expected.read("logits_last4")).data);
    await using test = await openTestRunner(await builtBase(dir, { targets: "none" }));
    for (const chunk of [64, 9]) {
      const found = await test.score(ids, { chunk, from: ids.length - 4 });
      expectAllclose(found, logits, { rtolOfMax: 5e-5 }, `chunks of ${chunk}`);
    }
  });

  it("has PyTorch's loss and gradients", async () => {
    await using expected = await openSafetensors(join(dir, "expected.safetensors"));
    const ids = Array.from((await expected.read("input_ids")).data, Number);
    await using checkpoint = await openCheckpoint(dir);
    await using staged = await stageTensors(checkpoint);
    const { config } = checkpoint;
    const { graph, parameters } = buildTrainGraph({ config, source: staged.source, trained: { kind: "full" } });
    await using session = await staged.open(graph);
    const weights = parameters.map(async ({ name: tensor, shape }) => {
      const data = toFloat32(await checkpoint.read(tensor));
      return [tensor, { dtype: "float32", shape, data }] as const;
    });
    const batch = feedsOf({ ids: [ids], mask: [ids.map(() => 1)] });
    const results = await runSession(session, { ...batch, ...Object.fromEntries(await Promise.all(weights)) });
    expectAllclose(floats(results.loss!.data), floats((await expected.read("loss")).data), { rtolOfMax: 2e-6 }, "loss");
    const { namesOf } = foreignNames(config);
    const wanted = [...expected.tensors.keys()].filter((one) => one.startsWith("grad."));
    const known = new Map(parameters.map(({ name: tensor, gradient }) => [`grad.${namesOf(tensor)[0]}`, gradient]));
    for (const one of wanted) {
      const gradient = results[known.get(one) ?? ""];
      expectAllclose(floats(gradient?.data), floats((await expected.read(one)).data), { rtolOfMax: 1e-4 }, one);
    }
    expect(wanted.length).toBeGreaterThan(1);
  });

  it("names every layer for PEFT as transformers does", async () => {
    await using checkpoint = await openCheckpoint(dir);
    await using file = await openSafetensors(join(dir, "model.safetensors"));
    const names = peftNames(checkpoint.config);
    const paths = allLinears(checkpoint.config).map(({ name: linear }) => `${names.pathOf(linear)}.weight`);
    // The text part of a model with images is a model of its own.
    const stored = new Set([...file.tensors.keys()].map((one) => one.replace(/^language_model\./, "")));
    expect(paths.filter((path) => !stored.has(path))).toEqual([]);
  });
});
