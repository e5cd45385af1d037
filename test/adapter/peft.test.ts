/**
 * What adapter_config.json may say: ranks and scales by pattern, and everything that is refused; expectations are
 * peft's rules.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { BaseSignature } from "../../src/adapter/adapter.ts";
import { type PeftNames, adapterFromPeft, peftConfig } from "../../src/adapter/peft.ts";
import { readPeftConfig } from "../../src/adapter/peft-config.ts";
import { AppError } from "../../src/errors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import type { HostTensor } from "../../src/tensor/host-tensor.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-peft-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const LINEARS = ["layers.0.attn.q", "layers.0.mlp.q", "layers.1.attn.q", "layers.11.attn.q"];
const base: BaseSignature = {
  baseId: "base",
  linears: new Map(LINEARS.map((name) => [name, { name, dIn: 6, dOut: 4 }])),
};
/** A family with a name of its own, and an older one. */
const names: PeftNames = {
  linearAt: (path) => LINEARS.find((name) => path === `net.${name}` || path === `old.${name}`),
  pathOf: (linear) => `net.${linear}`,
  isTransposed: false,
};

const jsonBytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const PLAIN = { peft_type: "LORA", r: 2, lora_alpha: 3 };
const config = (more: object = {}) => readPeftConfig(jsonBytes({ ...PLAIN, ...more }));

let numFiles = 0;
async function tensorBytes(shapes: Readonly<Record<string, readonly number[]>>): Promise<Uint8Array> {
  const path = join(scratch, `${numFiles++}.safetensors`);
  const specs = Object.entries(shapes).map(([name, shape]) => ({ name, dtype: "float32" as const, shape }));
  const load = async (name: string): Promise<HostTensor> => {
    const shape = shapes[name] ?? [];
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i + 1);
    return { dtype: "float32", shape, data };
  };
  await writeSafetensors(path, specs, load);
  return readFileSync(path);
}
const halves = (path: string, rank: number): Record<string, readonly number[]> => ({
  [`base_model.model.${path}.lora_A.weight`]: [rank, 6],
  [`base_model.model.${path}.lora_B.weight`]: [4, rank],
});
const take = async (shapes: Readonly<Record<string, readonly number[]>>, more: object = {}) =>
  adapterFromPeft({ config: jsonBytes({ ...PLAIN, ...more }), tensors: await tensorBytes(shapes) }, base, names);

describe("ranks and scales", () => {
  const paths = LINEARS.map((name) => `net.${name}`);

  it("are the general ones without patterns, alpha / r", () => {
    expect(config().scalesOf(paths)).toEqual(paths.map(() => ({ rank: 2, scale: 1.5 })));
    expect(config({ use_rslora: true, r: 4 }).scalesOf(["net.x"])).toEqual([{ rank: 4, scale: 1.5 }]);
  });

  it("follow the first pattern that matches the end of a path from a dot on, each pattern map for itself", () => {
    const ranks = { "layers.1.attn.q": 5, "attn.q": 7, "layers\\.\\d+\\..*": 9 };
    const found = config({ rank_pattern: ranks, alpha_pattern: { "(net|old).layers.0.(attn|mlp).q": 18 } });
    // "layers.1.attn.q" is a regular expression: its dots match anything, yet "layers.11" has one character too many.
    expect(found.scalesOf([...paths, "net.layers.1xattn.q"])).toEqual([
      { rank: 7, scale: 18 / 7 },
      { rank: 9, scale: 2 },
      { rank: 5, scale: 3 / 5 },
      { rank: 7, scale: 3 / 7 },
      { rank: 5, scale: 3 / 5 },
    ]);
    expect(config({ rank_pattern: { q: 3 } }).scalesOf(["net.aq", "q", "a.q.b"])).toMatchObject([
      { rank: 2 },
      { rank: 3 },
      { rank: 2 },
    ]);
  });

  it("read a pattern's own groups and back references as Python does", () => {
    expect(config({ rank_pattern: { "layers\\.(\\d)\\3\\.attn\\.q": 3 } }).scalesOf(paths)).toMatchObject([
      { rank: 2 },
      { rank: 2 },
      { rank: 2 },
      { rank: 3 },
    ]);
  });

  it("stop at a pattern that never ends", () => {
    const endless = { "(.+)+!": 3 };
    expect(() => config({ rank_pattern: endless }).scalesOf([`net.${"layers".repeat(20)}`])).toThrow(/take longer/);
  });

  it.each(["(", "\\Z", "(?P<a>b)", "(?i)q", "x".repeat(2000)])("refuse the pattern %j", (pattern) => {
    for (const key of ["rank_pattern", "alpha_pattern"])
      expect(() => config({ [key]: { [pattern]: 3 } })).toThrow(
        expect.objectContaining({ code: "adapter_invalid", message: expect.stringContaining(key) }),
      );
  });
});

describe("a configuration is refused for", () => {
  it.each<[string, unknown]>([
    ["peft_type", "LOHA"],
    ["use_dora", true],
    ["modules_to_save", ["lm_head"]],
    ["lora_bias", true],
    ["layer_replication", [[0, 2]]],
    ["trainable_token_indices", [1, 2]],
    ["target_parameters", ["experts.w"]],
    ["use_qalora", true],
    ["alora_invocation_tokens", [5]],
    ["arrow_config", { top_k: 1 }],
    ["use_bdlora", { nblocks: 2 }],
    ["kasa_config", { beta: 1 }],
    ["monteclora_config", { num_samples: 2 }],
    ["velora_config", { groups: 2 }],
    ["init_lora_weights", "pissa"],
    ["init_lora_weights", "pissa_niter_4"],
    ["init_lora_weights", "olora"],
    ["init_lora_weights", "corda"],
    ["init_lora_weights", "loftq"],
    ["init_lora_weights", "lora_ga"],
    ["a_setting_of_tomorrow", 1],
    ["r", 0],
    ["r", 2.5],
    ["r", 1e9],
    ["lora_alpha", "8"],
    ["use_rslora", "yes"],
    ["rank_pattern", [1]],
    ["rank_pattern", { q: -1 }],
    ["alpha_pattern", { q: null }],
  ])("%s = %j, by its name", (key, value) => {
    expect(() => config({ [key]: value })).toThrow(
      expect.objectContaining({ code: "adapter_invalid", message: expect.stringContaining(key) }),
    );
  });

  it.each([["not JSON"], ["[]"], ["null"], ["{}"], ['{"peft_type": "LORA", "r": NaN}']])("being %s", (text) => {
    expect(() => readPeftConfig(jsonBytes(text))).toThrow(expect.objectContaining({ code: "adapter_invalid" }));
  });

  it("nothing worse than a message, whatever it holds", () => {
    const keys = ["peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "bias", "use_rslora", "use_dora"];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 2 })), (value) => {
        try {
          readPeftConfig(jsonBytes({ ...PLAIN, ...value })).scalesOf(["net.layers.0.attn.q"]);
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("settings that only matter while training", () => {
  it.each<[string, unknown]>([
    ["init_lora_weights", "gaussian"],
    ["init_lora_weights", "eva"],
    ["init_lora_weights", false],
    ["eva_config", { rho: 2 }],
    ["megatron_config", {}],
    ["lora_dropout", 0.1],
    ["exclude_modules", ["q"]],
    ["layers_to_transform", [1]],
    ["loftq_config", {}],
    ["a_setting_of_tomorrow", null],
    ["another", false],
  ])("%s = %j is taken", (key, value) => {
    expect(config({ [key]: value }).rank).toBe(2);
  });
});

describe("tensors", () => {
  it("become targets in the base's order, under either of a family's names", async () => {
    const adapter = await take({ ...halves("old.layers.1.attn.q", 2), ...halves("net.layers.0.attn.q", 2) });
    expect(adapter).toMatchObject({ method: "lora", baseId: "base", heads: 1, router: "none" });
    expect(adapter.targets.map(({ name, k, scale }) => [name, k, scale])).toEqual([
      ["layers.0.attn.q", 2, 1.5],
      ["layers.1.attn.q", 2, 1.5],
    ]);
  });

  const q = "net.layers.0.attn.q";
  it.each<[string, Record<string, readonly number[]>, string, RegExp]>([
    ["one half", { [`base_model.model.${q}.lora_A.weight`]: [2, 6] }, "adapter_invalid", /lora_A but no lora_B/],
    ["another rank than the configuration's", halves(q, 3), "adapter_invalid", /rank 3 in its tensors but 2/],
    [
      "halves of two ranks",
      { ...halves(q, 2), [`base_model.model.${q}.lora_B.weight`]: [4, 3] },
      "adapter_invalid",
      /\[2,6\] and \[4,3\]/,
    ],
    [
      "another model's widths",
      { ...halves(q, 2), [`base_model.model.${q}.lora_A.weight`]: [2, 7] },
      "adapter_incompatible",
      /4×7, but this base's is 4×6/,
    ],
    ["a layer that is not there", halves("net.layers.7.attn.q", 2), "adapter_incompatible", /layers\.7.*not a linear/],
    ["the head", halves("lm_head", 2), "adapter_incompatible", /"lm_head".*not a linear layer/],
    ["the same layer twice", { ...halves(q, 2), ...halves("old.layers.0.attn.q", 2) }, "adapter_invalid", /twice/],
    [
      "a magnitude vector",
      { ...halves(q, 2), [`base_model.model.${q}.lora_magnitude_vector`]: [4] },
      "adapter_invalid",
      /DoRA/,
    ],
    ["a bias", { ...halves(q, 2), [`base_model.model.${q}.bias`]: [4] }, "adapter_invalid", /bias/],
    ["a whole module", { ...halves(q, 2), "base_model.model.lm_head.weight": [4, 6] }, "adapter_invalid", /whole/],
    ["an embedding", { "base_model.model.embed.lora_embedding_A": [2, 6] }, "adapter_invalid", /embedding/],
    ["a name without the prefix", { [`${q}.lora_A.weight`]: [2, 6] }, "adapter_invalid", /not named/],
    ["nothing", {}, "adapter_invalid", /no tensors/],
  ])("are refused for %s", async (_, shapes, code, message) => {
    await expect(take(shapes)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("that are cut short are refused, wherever", async () => {
    const whole = await tensorBytes(halves(q, 2));
    for (let length = 0; length < whole.length; length += 7)
      expect(() =>
        adapterFromPeft({ config: jsonBytes(PLAIN), tensors: whole.subarray(0, length) }, base, names),
      ).toThrow(expect.objectContaining({ code: "adapter_invalid" }));
  });
});

describe("the configuration written", () => {
  it("gives every module its own rank and scale again, to the last bit", async () => {
    const shapes = { ...halves("net.layers.0.attn.q", 3), ...halves("net.layers.1.attn.q", 7) };
    const adapter = await take(
      { ...shapes, ...halves("net.layers.11.attn.q", 7) },
      { use_rslora: true, lora_alpha: 1.1, rank_pattern: { "layers.0.attn.q": 3, q: 7 } },
    );
    const written = peftConfig(adapter, names);
    const paths = adapter.targets.map(({ name }) => names.pathOf(name));
    const wanted = adapter.targets.map(({ k, scale }) => ({ rank: k, scale }));
    expect(readPeftConfig(jsonBytes(written)).scalesOf(paths)).toEqual(wanted);
    expect(written).toMatchObject({ peft_type: "LORA", bias: "none", target_modules: paths, fan_in_fan_out: false });
  });
});
