/** `config.json` in both spellings, the classes' own defaults, and refusals that name the key. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { RawConfig } from "../../src/model/config-reader.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { casesIn, fixturesDir, readJson } from "../helpers/fixtures.ts";

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
  const { rope_theta, rope_type, ...scaling } = rope_parameters as RawConfig;
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

const REFUSALS: readonly [string, RawConfig, string, RegExp][] = [
  ["an unknown family", { model_type: "mamba" }, "checkpoint_unsupported", /"mamba".*known:.*llama/],
  [
    "a family that is a property of every object",
    { model_type: "constructor" },
    "checkpoint_unsupported",
    /"constructor"/,
  ],
  ["no family", {}, "checkpoint_unsupported", /model_type undefined/],
  ["quantised weights", { quantization_config: { bits: 4 } }, "checkpoint_unsupported", /quantization_config/],
  ["another activation", { hidden_act: "gelu" }, "checkpoint_unsupported", /hidden_act = "gelu".*silu/],
  [
    "unknown rope scaling",
    { rope_scaling: { type: "dynamic", factor: 2 } },
    "checkpoint_unsupported",
    /rope_type = "dynamic".*default, linear, llama3, yarn/,
  ],
  [
    "longrope, which Phi-3's long models have",
    { model_type: "phi3", rope_scaling: { type: "longrope", short_factor: [], long_factor: [] } },
    "checkpoint_unsupported",
    /rope_type = "longrope"/,
  ],
  [
    "linear scaling without a factor",
    { rope_scaling: { type: "linear" } },
    "checkpoint_invalid",
    /factor has to be a positive number/,
  ],
  ["partial rotation", { partial_rotary_factor: 0.5 }, "checkpoint_unsupported", /partial_rotary_factor = 0.5/],
  [
    "rope settings that are no object",
    { rope_scaling: "linear" },
    "checkpoint_invalid",
    /rope_scaling has to be an object/,
  ],
  ["an odd head size", { head_dim: 15 }, "checkpoint_invalid", /an even number of a head's values, it says 15/],
  [
    "heads that do not share evenly",
    { num_attention_heads: 6, num_key_value_heads: 4, head_dim: 8 },
    "checkpoint_invalid",
    /6 attention heads do not share 4/,
  ],
  [
    "a flag that is no flag",
    { tie_word_embeddings: "no" },
    "checkpoint_invalid",
    /tie_word_embeddings has to be true or false/,
  ],
  ["an epsilon of zero", { rms_norm_eps: 0 }, "checkpoint_invalid", /rms_norm_eps has to be a positive number/],
  ["layers beyond any model", { num_hidden_layers: 1_000_000 }, "checkpoint_invalid", /num_hidden_layers has to be/],
];

describe("a config is refused by name for", () => {
  it.each(REFUSALS)("%s", (_, change, code, message) => {
    const raw =
      "model_type" in change || Object.keys(change).length === 0 ? change : { model_type: "llama", ...change };
    expect(() => parseModelConfig(raw)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
