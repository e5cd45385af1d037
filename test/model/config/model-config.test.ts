/** `config.json` in both spellings, the classes' own defaults, and refusals that name the key. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { RawConfig } from "../../../src/model/config/config-reader.ts";
import { parseModelConfig } from "../../../src/model/families.ts";
import { casesIn, fixturesDir, readJson } from "../../helpers/fixtures.ts";

const models = fixturesDir("models");

const supported = casesIn(models, "config.json")
  .map((name) => ({ name, raw: readJson<RawConfig>(join(models, name), "config.json") }))
  .filter(({ raw }) => ["llama", "mistral", "qwen2"].includes(String(raw.model_type)));

/** The rotary settings as transformers 5 writes them. */
function newSpelling(raw: RawConfig): RawConfig {
  const { rope_theta, rope_scaling, rope_parameters, ...rest } = raw;
  const theta = (rope_parameters as RawConfig | undefined)?.rope_theta ?? rope_theta;
  const scaling = (rope_parameters ?? rope_scaling ?? { rope_type: "default" }) as RawConfig;
  return { ...rest, rope_parameters: { ...scaling, ...(theta === undefined ? {} : { rope_theta: theta }) } };
}

/** The same as transformers 4 writes them. */
function oldSpelling(raw: RawConfig): RawConfig {
  const { rope_parameters, ...rest } = newSpelling(raw);
  // transformers 4 itself called it either way.
  const { rope_theta, rope_type: newName, type, ...scaling } = rope_parameters as RawConfig;
  const rope_type = newName ?? type;
  return {
    ...rest,
    ...(rope_theta === undefined ? {} : { rope_theta }),
    rope_scaling: rope_type === undefined || rope_type === "default" ? null : { type: rope_type, ...scaling },
  };
}

describe.each(supported)("the config of $name", ({ raw }) => {
  it("means the same in both spellings", () => {
    expect(parseModelConfig(newSpelling(raw))).toEqual(parseModelConfig(raw));
    expect(parseModelConfig(oldSpelling(raw))).toEqual(parseModelConfig(raw));
  });

  it.each(["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings"])(
    "is refused by the name of %s when that is no positive integer of a sane size",
    (key) => {
      for (const value of [0, -1, 2.5, "64", 1e12, true])
        expect(() => parseModelConfig({ ...raw, [key]: value })).toThrow(
          expect.objectContaining({ code: "checkpoint_invalid", message: expect.stringContaining(key) }),
        );
    },
  );
});

it("finds configs", () => expect(supported.length).toBeGreaterThan(0));

describe("an absent key means the class's default", () => {
  it.each<[string, Record<string, unknown>]>([
    ["llama", { intermediateSize: 11008, numKvHeads: 32, vocabSize: 32000, maxPositions: 2048, hasQkvBias: false }],
    ["mistral", { intermediateSize: 14336, numKvHeads: 8, vocabSize: 32000, maxPositions: 131072, hasQkvBias: false }],
    ["qwen2", { intermediateSize: 22016, numKvHeads: 32, vocabSize: 151936, maxPositions: 32768, hasQkvBias: true }],
  ])("%s", (model_type, expected) => {
    const config = parseModelConfig({ model_type });
    expect(config).toMatchObject({
      ...expected,
      hiddenSize: 4096,
      numLayers: 32,
      numHeads: 32,
      headSize: 128,
      norm: { kind: "rms", epsilon: 1e-6, offset: 0 },
      tiesEmbeddings: false,
      hasOutputBias: false,
      ropes: [{ theta: 10000, rotaryDim: 128, scaling: { type: "default" } }],
    });
    expect(config.windows).toEqual(Array(32).fill(model_type === "mistral" ? 4096 : null));
  });

  it("and null key/value heads are as many as attention heads, in every family", () => {
    for (const model_type of ["llama", "mistral", "qwen2"])
      expect(
        parseModelConfig({ model_type, num_attention_heads: 16, num_key_value_heads: null, head_dim: null }),
      ).toMatchObject({ numKvHeads: 16, headSize: 256 });
  });
});

describe("sliding windows", () => {
  it("of Mistral are in every layer, and nowhere when null", () => {
    const windows = (sliding_window: unknown) =>
      parseModelConfig({ model_type: "mistral", num_hidden_layers: 2, sliding_window }).windows;
    expect(windows(16)).toEqual([16, 16]);
    expect(windows(null)).toEqual([null, null]);
  });

  it("of Qwen2 need the switch, and begin at max_window_layers unless layer_types says otherwise", () => {
    const windows = (more: RawConfig) =>
      parseModelConfig({ model_type: "qwen2", num_hidden_layers: 3, sliding_window: 8, ...more }).windows;
    expect(windows({ max_window_layers: 0 })).toEqual([null, null, null]);
    expect(windows({ use_sliding_window: true, max_window_layers: 1 })).toEqual([null, 8, 8]);
    const layer_types = ["sliding_attention", "full_attention", "sliding_attention"];
    expect(windows({ use_sliding_window: true, layer_types })).toEqual([8, null, 8]);
    expect(windows({ use_sliding_window: false, layer_types })).toEqual([null, null, null]);
  });
});

describe("settings beside each other", () => {
  const llama = (more: RawConfig) => parseModelConfig({ model_type: "llama", ...more });
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };

  it("of positions: the older spelling outranks the newer one, as a whole", () => {
    const rope_parameters = { rope_type: "default", rope_theta: 20000 };
    const rope_scaling = { type: "linear", factor: 2 };
    expect(llama({ rope_parameters, rope_scaling, rope_theta: 5000 }).ropes).toEqual([
      { theta: 5000, rotaryDim: 128, scaling: { type: "linear", factor: 2 } },
    ]);
    expect(llama({ rope_parameters, rope_scaling: {}, rope_theta: 5000 }).ropes[0]?.theta).toBe(20000);
  });

  it("of the original length: the key beside the scaling outranks the one in it", () => {
    const length = (more: RawConfig) => llama({ rope_scaling: yarn, ...more }).ropes[0]?.scaling;
    expect(length({ original_max_position_embeddings: 20 })).toMatchObject({ originalMaxPositions: 20 });
    expect(length({})).toMatchObject({ originalMaxPositions: 32 });
  });

  it("of Gemma 3 by layer type: each has its own theta and scaling", () => {
    const full_attention = { rope_type: "linear", factor: 3 };
    const config = parseModelConfig({
      model_type: "gemma3_text",
      head_dim: 16,
      rope_parameters: { full_attention, sliding_attention: null },
      rope_theta: 7,
      rope_local_base_freq: 5,
    });
    expect(config.ropes).toEqual([
      { theta: 7, rotaryDim: 16, scaling: { type: "linear", factor: 3 } },
      { theta: 5, rotaryDim: 16, scaling: { type: "default" } },
    ]);
  });

  it("of layers: layer_types decides Mistral's windows too, and SmolLM3's without the switch", () => {
    const layer_types = ["sliding_attention", "full_attention"];
    const more = { num_hidden_layers: 2, sliding_window: 8, layer_types, no_rope_layers: [1, 1, 0] };
    expect(parseModelConfig({ model_type: "mistral", ...more }).windows).toEqual([8, null]);
    expect(parseModelConfig({ model_type: "smollm3", ...more })).toMatchObject({
      windows: [8, null],
      layerRopes: [0, 0],
    });
  });

  it("of heads: a head size of its own is heeded in every family", () => {
    for (const model_type of [
      "llama",
      "mistral",
      "qwen2",
      "qwen3",
      "phi3",
      "smollm3",
      "olmo2",
      "gemma2",
      "gemma3_text",
    ])
      expect(parseModelConfig({ model_type, head_dim: 24 }).headSize, model_type).toBe(24);
  });

  it("of GPT-2: other families' names mean the same", () => {
    const sizes = { hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 99 };
    expect(parseModelConfig({ model_type: "gpt2", ...sizes })).toMatchObject({
      hiddenSize: 48,
      numLayers: 2,
      headSize: 12,
      maxPositions: 99,
    });
  });

  it("of SmolLM3's theta: its own default holds in both spellings", () => {
    for (const more of [{}, { rope_parameters: { rope_type: "default" } }])
      expect(parseModelConfig({ model_type: "smollm3", ...more }).ropes[0]?.theta).toBe(2_000_000);
  });
});

describe("scaling that depends on the length of a sequence", () => {
  const sizes = { model_type: "phi3", hidden_size: 16, num_attention_heads: 2, max_position_embeddings: 64 };
  const scaling = { type: "longrope", short_factor: [1, 2, 3, 4], long_factor: [5, 6, 7, 8] };
  it("is served as far as it does not: longrope up to its original length", () => {
    const config = parseModelConfig({ ...sizes, original_max_position_embeddings: 16, rope_scaling: scaling });
    expect(config.maxPositions).toBe(16);
    expect(config.ropes[0]?.scaling).toMatchObject({ type: "longrope", shortFactors: [1, 2, 3, 4] });
  });

  it("never begins: dynamic up to the model's own length", () => {
    const raw = { model_type: "llama", hidden_size: 16, num_attention_heads: 2, max_position_embeddings: 64 };
    const dynamic = { rope_scaling: { type: "dynamic", factor: 4 } };
    expect(parseModelConfig({ ...raw, ...dynamic })).toEqual(parseModelConfig(raw));
  });
});

it.each([
  ["llama", "hidden_act", "gelu_new", "gelu_tanh"],
  ["gemma2", "hidden_activation", "silu", "silu"],
  ["gpt2", "activation_function", "gelu_fast", "gelu_tanh"],
])("reads the activation of %s in %s = %s", (model_type, key, value, activation) => {
  expect(parseModelConfig({ model_type, [key]: value }).activation).toBe(activation);
});
