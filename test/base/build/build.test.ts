/** Building a base directory: what it is made of, what its ids cover, and that nothing half-made is ever left. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type BuildOptions, buildBase } from "../../../src/base/build/build.ts";
import { BASES_FILE, WEIGHTS_FILE, openBase } from "../../../src/base/base.ts";
import { MANIFEST_FILE, readManifest } from "../../../src/base/manifest.ts";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { EMBEDDING, LM_HEAD } from "../../../src/model/weight-names.ts";
import { type HostTensor, bytesOf, toFloat32 } from "../../../src/tensor/host-tensor.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { TOY_CONFIG, writeCheckpoint } from "../../helpers/models/checkpoints.ts";
import { openTestRunner } from "../../helpers/engine/runner.ts";

const OPTIONS: BuildOptions = {
  weights: "float32",
  blockSize: null,
  targets: "none",
  threshold: 0.25,
  maxRank: null,
  basisFrom: null,
  isSlim: false,
  numThreads: 1,
};
const PROMPT = [1, 5, 3, 11, 2];
const Q_PROJ = "model.layers.0.self_attn.q_proj.weight";

let dir: string;
let checkpoint: string;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "mosara-build-"));
  checkpoint = await writeCheckpoint(join(dir, "checkpoint"), TOY_CONFIG);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const out = (): string => join(dir, "out", "base");
const build = async (changes: Partial<BuildOptions> = {}, from = checkpoint) =>
  (await buildBase(from, out(), { ...OPTIONS, ...changes })).manifest;

async function scoreOf(baseDir: string): Promise<Float32Array> {
  await using test = await openTestRunner(baseDir);
  return await test.score(PROMPT);
}

/** Another checkpoint, the same but for one tensor. */
function changed(name: string, change: (values: Float32Array) => void): Promise<string> {
  return writeCheckpoint(join(dir, "changed"), TOY_CONFIG, {
    change: (tensors) => {
      const tensor = tensors.get(name)!; // the test names one that is there
      const data = Float32Array.from(tensor.data as Float32Array);
      change(data);
      tensors.set(name, { ...tensor, data });
    },
  });
}

describe("a build that fails leaves nothing behind", () => {
  it.each<[string, (values: Float32Array) => void]>([
    ["NaN", (values) => (values[7] = NaN)],
    ["infinite", (values) => (values[0] = -Infinity)],
  ])("on a weight with a %s value, which it names", async (_, change) => {
    const from = await changed(Q_PROJ, change);
    await expect(build({}, from)).rejects.toMatchObject({
      code: "checkpoint_invalid",
      message: expect.stringMatching(/q_proj\.weight contains NaN or infinite values/),
    });
    expect(readdirSync(join(dir, "out"))).toEqual([]);
  });

  it.each<[string, Partial<BuildOptions>, string, RegExp]>([
    ["an unknown target", { targets: ["q_proj", "qq_proj"] }, "usage", /qq_proj matches no linear layer.*q_proj/],
    ["no base to take bases from", { targets: null, basisFrom: "/nowhere" }, "base_invalid", /nowhere.*cannot be read/],
  ])("on %s, before it reads a weight", async (_, options, code, message) => {
    const stages: string[] = [];
    const running = buildBase(checkpoint, out(), { ...OPTIONS, ...options }, ({ stage }) => stages.push(stage));
    await expect(running).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(stages).toEqual([]);
    expect(readdirSync(join(dir, "out"))).toEqual([]);
  });

  it("on a generation config that is no JSON", async () => {
    writeFileSync(join(checkpoint, "generation_config.json"), "{");
    await expect(build()).rejects.toMatchObject({ code: "checkpoint_invalid", message: expect.stringMatching(/JSON/) });
  });

  it("and an older base as it was", async () => {
    const { baseId } = await build();
    const from = await changed(Q_PROJ, (values) => (values[7] = NaN));
    await expect(build({}, from)).rejects.toThrow();
    expect((await readManifest(out())).baseId).toBe(baseId);
    expect(readdirSync(join(dir, "out"))).toEqual(["base"]);
  });

  it("when values leave float16's range", async () => {
    const from = await changed(Q_PROJ, (values) => (values[3] = 70_000));
    await expect(build({ weights: "float16" }, from)).rejects.toMatchObject({
      message: expect.stringMatching(/q_proj\.weight has values beyond float16's 65504.*float32/),
    });
    expect(readdirSync(join(dir, "out"))).toEqual([]);
  });
});

describe("the place of a base", () => {
  it("may be an older base or an empty directory, and then holds only the new one", async () => {
    mkdirSync(out(), { recursive: true });
    await build({ weights: "int8" });
    writeFileSync(join(out(), "left-over"), "x");
    const { weights } = await build();
    expect(weights).toBe("float32");
    expect(readdirSync(out()).sort()).toEqual([
      "config.json",
      "mosara.json",
      "serve.onnx",
      "serve.weights",
      "weights.safetensors",
    ]);
    expect(readdirSync(join(dir, "out"))).toEqual(["base"]);
  });

  it.each(["a directory of something else", "a file"])("may not be %s", async (kind) => {
    mkdirSync(join(dir, "out"));
    if (kind === "a file") writeFileSync(out(), "mine");
    else mkdirSync(out());
    const mine = kind === "a file" ? out() : join(out(), "mine.txt");
    writeFileSync(mine, "mine");
    await expect(build()).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/exists and is not a base directory/),
    });
    expect(readFileSync(mine, "utf8")).toBe("mine");
  });

  it("may not be the checkpoint itself", async () => {
    await expect(buildBase(checkpoint, checkpoint, OPTIONS)).rejects.toMatchObject({ code: "usage" });
    expect(existsSync(join(checkpoint, "model.safetensors"))).toBe(true);
  });

  it("may change afterwards: a moved base answers as before", async () => {
    await build({ weights: "int4" });
    const before = await scoreOf(out());
    renameSync(out(), join(dir, "moved"));
    rmSync(checkpoint, { recursive: true });
    expect(await scoreOf(join(dir, "moved"))).toEqual(before);
    expect(readFileSync(join(dir, "moved", MANIFEST_FILE), "utf8")).not.toContain(dir);
    expect(readFileSync(join(dir, "moved", "serve.onnx")).includes(dir)).toBe(false);
  });
});

describe("what is stored", () => {
  it.each(["float32", "float16", "bfloat16"] as const)(
    "of a sharded %s checkpoint is what a single file gives, in its own dtype",
    async (dtype) => {
      const one = await writeCheckpoint(join(dir, "one"), TOY_CONFIG, { dtype });
      const many = await writeCheckpoint(join(dir, "many"), TOY_CONFIG, { dtype, numShards: 3 });
      const single = await build({}, one);
      const score = await scoreOf(out());
      expect((await build({}, many)).baseId).toBe(single.baseId);
      expect(await scoreOf(out())).toEqual(score);
      await using base = await openBase(out());
      expect(base.source.stored(EMBEDDING).dtype).toBe(dtype);
      // Casting to float32 is exact, so the float32 checkpoint with the same values gives the same logits.
      const widened = await writeCheckpoint(join(dir, "wide"), TOY_CONFIG, {
        dtype,
        change: (tensors) => {
          for (const [name, tensor] of tensors) tensors.set(name, asFloat32(tensor));
        },
      });
      await build({}, widened);
      expect(await scoreOf(out())).toEqual(score);
    },
  );

  it("of a slim quantised base is what the graph needs, and the answers are the same", async () => {
    const full = await build({ weights: "int8" });
    const score = await scoreOf(out());
    await using whole = await openBase(out());
    expect([whole.source.has(Q_PROJ), whole.source.has(LM_HEAD)]).toEqual([true, true]);
    const slim = await build({ weights: "int8", isSlim: true });
    expect(await scoreOf(out())).toEqual(score);
    await using base = await openBase(out());
    expect([base.source.has(Q_PROJ), base.source.has(LM_HEAD), base.source.has(EMBEDDING)]).toEqual([
      false,
      false,
      true,
    ]);
    expect([full.hasOriginals, slim.hasOriginals]).toEqual([true, false]);
    expect(slim.baseId).toBe(full.baseId);
  });

  it("holds the tokenizer's files and no other, directories of that name left out", async () => {
    for (const name of ["tokenizer.json", "merges.txt", "chat_template.jinja", "README.md", "pytorch_model.bin"])
      writeFileSync(join(checkpoint, name), name);
    mkdirSync(join(checkpoint, "tokenizer_old"));
    await build();
    expect(readdirSync(out())).toEqual(expect.arrayContaining(["tokenizer.json", "merges.txt", "chat_template.jinja"]));
    for (const name of ["README.md", "pytorch_model.bin", "tokenizer_old"])
      expect(readdirSync(out())).not.toContain(name);
  });

  it("says which tokens end an answer: those of both configurations, as far as the model has them", async () => {
    expect((await build()).endTokenIds).toEqual([0]);
    writeFileSync(join(checkpoint, "generation_config.json"), JSON.stringify({ eos_token_id: [3, 4, 400] }));
    expect((await build()).endTokenIds).toEqual([0, 3, 4]);
  });

  it("is chosen by size when asked for auto", async () => {
    expect((await build({ weights: "auto" })).weights).toBe("float32");
  });
});

const asFloat32 = (tensor: HostTensor): HostTensor => ({
  dtype: "float32",
  shape: tensor.shape,
  data: toFloat32(tensor),
});

describe("baseId", () => {
  it("depends on nothing but the checkpoint's mathematics", async () => {
    const { baseId } = await build();
    expect((await readManifest(await builtBase(checkpoint))).baseId).toBe(baseId);
    expect((await readManifest(await builtBase(checkpoint, { targets: "all-linear", threshold: 0.8 }))).baseId).toBe(
      baseId,
    );
    for (const weights of ["int8", "int4", "float16"] as const) expect((await build({ weights })).baseId).toBe(baseId);
    expect((await build({ isSlim: true })).baseId).toBe(baseId);
    writeFileSync(
      join(checkpoint, "config.json"),
      JSON.stringify({ ...TOY_CONFIG, transformers_version: "9", torch_dtype: "x" }),
    );
    writeFileSync(join(checkpoint, "tokenizer.json"), "{}");
    expect((await build()).baseId).toBe(baseId);
  });

  it("is the same tied, whichever of embedding and head is stored", async () => {
    const tied = { ...TOY_CONFIG, tie_word_embeddings: true };
    const ids = await Promise.all(
      [
        () => {},
        (tensors: Map<string, HostTensor>) => void tensors.set(LM_HEAD, tensors.get(EMBEDDING)!), // every model has one
        (tensors: Map<string, HostTensor>) => {
          tensors.set(LM_HEAD, tensors.get(EMBEDDING)!); // as above
          tensors.delete(EMBEDDING);
        },
      ].map(async (change, i) => {
        const from = await writeCheckpoint(join(dir, `tied-${i}`), tied, { change });
        return (await buildBase(from, join(dir, `tied-base-${i}`), OPTIONS)).manifest.baseId;
      }),
    );
    expect(new Set(ids).size).toBe(1);
  });

  it("changes with one flipped bit of any tensor", async () => {
    const { baseId } = await build();
    for (const name of [Q_PROJ, EMBEDDING, LM_HEAD, "model.norm.weight"]) {
      const from = await writeCheckpoint(join(dir, "flipped"), TOY_CONFIG, {
        change: (tensors) => {
          const bytes = bytesOf(tensors.get(name)!); // named by this test
          bytes[9]! ^= 1; // every tensor has ten bytes
        },
      });
      expect((await build({}, from)).baseId, name).not.toBe(baseId);
    }
  });

  it("changes with a setting that changes results, and with the dtype", async () => {
    const { baseId } = await build();
    writeFileSync(join(checkpoint, "config.json"), JSON.stringify({ ...TOY_CONFIG, rms_norm_eps: 1e-5 }));
    expect((await build()).baseId).not.toBe(baseId);
    expect(
      (await build({}, await writeCheckpoint(join(dir, "half"), TOY_CONFIG, { dtype: "float16" }))).baseId,
    ).not.toBe(baseId);
  });
});

describe("bases", () => {
  it("have ids that tell their contents, and a rank that grows with the threshold", async () => {
    const low = (await readManifest(await builtBase(checkpoint))).targets;
    const high = (await readManifest(await builtBase(checkpoint, { threshold: 0.8 }))).targets;
    expect(low.map((target) => target.name)).toEqual(
      ["self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj"].map((name) => `layers.0.${name}`),
    );
    low.forEach((target, i) => {
      expect(high[i]!.k).toBeGreaterThan(target.k); // as many
      expect(high[i]!.basisId).not.toBe(target.basisId);
      expect(high[i]!.nuclearNorm).toBe(target.nuclearNorm);
    });
    expect(new Set(low.map((target) => target.basisId)).size).toBe(low.length);
  });

  it("taken over are the same bytes, whatever the weights, and keep the rule they were made by", async () => {
    const from = await builtBase(checkpoint, { threshold: 0.6, maxRank: 5 });
    const manifest = await build({ weights: "int4", targets: null, basisFrom: from });
    const source = await readManifest(from);
    expect(manifest.targets).toEqual(source.targets);
    expect([manifest.threshold, manifest.maxRank]).toEqual([0.6, 5]);
    expect(readFileSync(join(out(), BASES_FILE))).toEqual(readFileSync(join(from, BASES_FILE)));
    const some = await build({ targets: ["q_proj"], basisFrom: from });
    expect(some.targets).toEqual(source.targets.filter((target) => target.name.endsWith("q_proj")));
  });

  it("may be taken over from the base that is replaced", async () => {
    cpSync(await builtBase(checkpoint), out(), { recursive: true });
    const { targets } = await readManifest(out());
    expect((await build({ weights: "int8", targets: null, basisFrom: out() })).targets).toEqual(targets);
  });

  it("are not taken over from another checkpoint, nor when a wanted one is missing, nor when damaged", async () => {
    const from = await builtBase(checkpoint);
    const other = await changed(Q_PROJ, (values) => (values[0]! += 1)); // it has values
    await expect(build({ targets: null, basisFrom: from }, other)).rejects.toMatchObject({
      code: "base_invalid",
      message: expect.stringMatching(/is base [0-9a-f]{64}, but the checkpoint is [0-9a-f]{64}/),
    });
    await expect(build({ targets: ["gate_proj"], basisFrom: from })).rejects.toMatchObject({
      code: "base_invalid",
      message: expect.stringMatching(
        /no basis for layers\.0\.mlp\.gate_proj; it has bases for 4 layers \(q_proj, v_proj, o_proj, down_proj\)/,
      ),
    });
    await expect(
      build({ targets: null, basisFrom: await builtBase(checkpoint, { targets: "none" }) }),
    ).rejects.toMatchObject({
      code: "base_invalid",
      message: expect.stringMatching(/no basis for any layer/),
    });
    const damaged = join(dir, "damaged");
    cpSync(from, damaged, { recursive: true });
    await using file = await openSafetensors(join(damaged, BASES_FILE));
    const bytes = readFileSync(file.path);
    bytes[file.tensors.get("layers.0.mlp.down_proj.V")!.byteOffset]! ^= 1; // down_proj is a target
    writeFileSync(file.path, bytes);
    await expect(build({ targets: null, basisFrom: damaged })).rejects.toMatchObject({
      code: "base_invalid",
      message: expect.stringMatching(/basis of layers\.0\.mlp\.down_proj differs from the one that its manifest names/),
    });
    expect(readdirSync(join(dir, "out"))).toEqual([]);
  });
});

describe("opening a base", () => {
  const changeManifest = (change: (manifest: Record<string, unknown>) => void): void => {
    const path = join(out(), MANIFEST_FILE);
    const manifest = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    change(manifest);
    writeFileSync(path, JSON.stringify(manifest));
  };

  it("of an older version serves it where its weights are not quantised, for nothing in it is different", async () => {
    await build();
    changeManifest((manifest) => {
      manifest.formatVersion = 3;
      delete manifest.layouts;
    });
    await using base = await openBase(out());
    expect(base.manifest.layouts).toBeNull();
  });

  const opening = async (): Promise<void> => {
    await using base = await openBase(out());
    expect(base.manifest.weights).toBe("float32");
  };

  it.each<[string, () => void, RegExp]>([
    ["no manifest", () => rmSync(join(out(), MANIFEST_FILE)), /mosara\.json cannot be read.*mosara build/],
    [
      "another format",
      () => writeFileSync(join(out(), MANIFEST_FILE), '{"formatVersion":99}'),
      /format version 99, but this mosara reads \d/,
    ],
    [
      "a manifest without an id",
      () => writeFileSync(join(out(), MANIFEST_FILE), '{"formatVersion":3}'),
      /damaged at baseId/,
    ],
    ["no weights", () => rmSync(join(out(), WEIGHTS_FILE)), /lacks weights\.safetensors/],
    [
      "a config without a size",
      () => {
        const path = join(out(), MANIFEST_FILE);
        const manifest = JSON.parse(readFileSync(path, "utf8")) as { config: Record<string, unknown> };
        delete manifest.config.headSize;
        writeFileSync(path, JSON.stringify(manifest));
      },
      /damaged at config\.headSize/,
    ],
    [
      "quantised weights of an older version",
      () => changeManifest((manifest) => Object.assign(manifest, { formatVersion: 3, weights: "int8" })),
      /format version 3, whose int8 weights are less accurate.*--basis-from/,
    ],
    ["cut-off weights", () => truncateSync(join(out(), WEIGHTS_FILE), 100), /is damaged: .*weights\.safetensors/],
  ])("with %s is refused as base_invalid", async (_, damage, message) => {
    await build();
    damage();
    await expect(opening()).rejects.toMatchObject({ code: "base_invalid", message: expect.stringMatching(message) });
  });
});
