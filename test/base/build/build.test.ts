/** Building a base directory: what it is made of, what its ids cover, and that nothing half-made is ever left. */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type BuildOptions, buildBase } from "../../../src/base/build/build.ts";
import { WEIGHTS_FILE, openBase } from "../../../src/base/base.ts";
import { MANIFEST_FILE, readManifest } from "../../../src/base/manifest.ts";
import { EMBEDDING, LM_HEAD } from "../../../src/model/weight-names.ts";
import { type HostTensor, toFloat32 } from "../../../src/tensor/host-tensor.ts";
import { TOY_CONFIG, writeCheckpoint } from "../../helpers/models/checkpoints.ts";
import { openTestRunner } from "../../helpers/engine/runner.ts";
import {
  OPTIONS,
  Q_PROJ,
  dir,
  checkpoint,
  out,
  build,
  changed,
  useToyCheckpoint,
} from "../../helpers/models/toy-build.ts";

useToyCheckpoint();

const PROMPT = [1, 5, 3, 11, 2];

async function scoreOf(baseDir: string): Promise<Float32Array> {
  await using test = await openTestRunner(baseDir);
  return await test.score(PROMPT);
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
