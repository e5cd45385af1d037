/** What the ids of a base and of its bases depend on, and bases that are reused from another build. */
import { cpSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { buildBase } from "../../../src/base/build/build.ts";
import { BASES_FILE } from "../../../src/base/base.ts";
import { readManifest } from "../../../src/base/manifest.ts";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { EMBEDDING, LM_HEAD } from "../../../src/model/weight-names.ts";
import { type HostTensor, bytesOf } from "../../../src/tensor/host-tensor.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { TOY_CONFIG, writeCheckpoint } from "../../helpers/models/checkpoints.ts";
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

  it("reused are the same bytes, whatever the weights, and keep the rule they were made by", async () => {
    const from = await builtBase(checkpoint, { threshold: 0.6, maxRank: 5 });
    const manifest = await build({ weights: "int4", targets: null, basisFrom: from });
    const source = await readManifest(from);
    expect(manifest.targets).toEqual(source.targets);
    expect([manifest.threshold, manifest.maxRank]).toEqual([0.6, 5]);
    expect(readFileSync(join(out(), BASES_FILE))).toEqual(readFileSync(join(from, BASES_FILE)));
    const some = await build({ targets: ["q_proj"], basisFrom: from });
    expect(some.targets).toEqual(source.targets.filter((target) => target.name.endsWith("q_proj")));
  });

  it("may be reused from the base that is replaced", async () => {
    cpSync(await builtBase(checkpoint), out(), { recursive: true });
    const { targets } = await readManifest(out());
    expect((await build({ weights: "int8", targets: null, basisFrom: out() })).targets).toEqual(targets);
  });

  it("are not reused from another checkpoint, nor when a wanted one is missing, nor when damaged", async () => {
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
