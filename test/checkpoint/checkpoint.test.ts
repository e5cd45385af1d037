/** What a checkpoint has to be, and what its opener says when it is not. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { EMBEDDING, LM_HEAD } from "../../src/model/weight-names.ts";
import { type HostTensor, hostTensor } from "../../src/tensor/host-tensor.ts";
import { TOY_CONFIG, writeCheckpoint } from "../helpers/models/checkpoints.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "mosara-checkpoint-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const INDEX = "model.safetensors.index.json";
const SHARD = "model-00001-of-2.safetensors";

/** Opens, lists the tensors' names, closes. */
async function namesIn(path: string): Promise<string[]> {
  await using checkpoint = await openCheckpoint(path);
  return checkpoint.tensors.map((tensor) => tensor.name);
}

async function refusal(code: "checkpoint_invalid" | "checkpoint_unsupported", message: RegExp): Promise<void> {
  await expect(namesIn(dir)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
}

type Change = (tensors: Map<string, HostTensor>) => void;
const Q_PROJ = "model.layers.0.self_attn.q_proj.weight";

describe("a checkpoint is refused", () => {
  it("without config.json", async () => {
    await refusal("checkpoint_invalid", /is not a checkpoint: it has no config\.json/);
  });

  it("without safetensors, and says that pickles are never read", async () => {
    writeFileSync(join(dir, "config.json"), JSON.stringify(TOY_CONFIG));
    writeFileSync(join(dir, "pytorch_model.bin"), "x");
    await refusal("checkpoint_invalid", /neither model\.safetensors nor .*never read/);
  });

  it.each(["{", "[1]", "null"])("when config.json is %s", async (text) => {
    await writeCheckpoint(dir, TOY_CONFIG);
    writeFileSync(join(dir, "config.json"), text);
    await refusal("checkpoint_invalid", /config\.json/);
  });

  it.each<[string, Change, "checkpoint_invalid" | "checkpoint_unsupported", RegExp]>([
    [
      "for a missing tensor",
      (t) => t.delete(Q_PROJ),
      "checkpoint_invalid",
      /lacks the tensor .*q_proj\.weight \[16,16\]/,
    ],
    [
      "for a missing norm",
      (t) => t.delete("model.norm.weight"),
      "checkpoint_invalid",
      /lacks the tensor model\.norm\.weight/,
    ],
    [
      "for a wrong shape",
      (t) => t.set(Q_PROJ, hostTensor("float32", [8, 16], new Float32Array(128))),
      "checkpoint_invalid",
      /q_proj\.weight is stored as \[8,16\], but config\.json requires \[16,16\]/,
    ],
    [
      "for a dtype that is no float",
      (t) => t.set(Q_PROJ, hostTensor("int8", [16, 16], new Int8Array(256))),
      "checkpoint_unsupported",
      /q_proj\.weight is int8; supported: float32, float16, bfloat16/,
    ],
    [
      "for an untied head that is not there",
      (t) => t.delete(LM_HEAD),
      "checkpoint_invalid",
      /lacks lm_head\.weight, and config\.json does not tie it/,
    ],
  ])("%s", async (_, change, code, message) => {
    await writeCheckpoint(dir, TOY_CONFIG, { change });
    await refusal(code, message);
  });

  it("for an element type that nobody knows", async () => {
    await writeCheckpoint(dir, TOY_CONFIG);
    const path = join(dir, "model.safetensors");
    const bytes = readFileSync(path);
    const at = bytes.indexOf('"F32"');
    bytes.write('"F3X"', at);
    writeFileSync(path, bytes);
    await refusal("checkpoint_unsupported", /tensors of the type F3X/);
  });

  it("when a shard is cut off", async () => {
    await writeCheckpoint(dir, TOY_CONFIG, { numShards: 2 });
    truncateSync(join(dir, SHARD), readFileSync(join(dir, SHARD)).length - 10);
    await refusal("checkpoint_invalid", new RegExp(SHARD));
  });

  it("when the index names a shard that is not there", async () => {
    await writeCheckpoint(dir, TOY_CONFIG, { numShards: 2 });
    unlinkSync(join(dir, SHARD));
    await refusal("checkpoint_invalid", new RegExp(`${SHARD}.*cannot be found`));
  });

  it.each(["../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "x\u0000.safetensors", 7, null])(
    "when the index names %j, outside of the directory",
    async (name) => {
      await writeCheckpoint(dir, TOY_CONFIG, { numShards: 2 });
      writeFileSync(join(dir, INDEX), JSON.stringify({ weight_map: { [EMBEDDING]: name } }));
      await refusal("checkpoint_invalid", /is not the name of a file in the checkpoint's directory/);
    },
  );

  it("when the index has no map", async () => {
    await writeCheckpoint(dir, TOY_CONFIG, { numShards: 2 });
    writeFileSync(join(dir, INDEX), JSON.stringify({ weight_map: [] }));
    await refusal("checkpoint_invalid", /weight_map must be an object/);
  });

  it("when two shards hold the same tensor", async () => {
    await writeCheckpoint(dir, TOY_CONFIG, { numShards: 2 });
    await using shard = await openSafetensors(join(dir, SHARD));
    const [name, entry] = [...shard.tensors][0]!; // a shard has tensors
    const tensor = await shard.read(name);
    await writeSafetensors(join(dir, "extra.safetensors"), [{ name, ...entry }], async () => tensor);
    const index = JSON.parse(readFileSync(join(dir, INDEX), "utf8")) as { weight_map: Record<string, string> };
    index.weight_map.extra = "extra.safetensors";
    writeFileSync(join(dir, INDEX), JSON.stringify(index));
    await refusal("checkpoint_invalid", /is stored twice: in .* and .*/);
  });
});

describe("embedding and head", () => {
  const tied = { ...TOY_CONFIG, tie_word_embeddings: true };
  const copyHead: Change = (tensors) => tensors.set(LM_HEAD, tensors.get(EMBEDDING)!); // every model has one

  it("that are tied are one tensor when only the embedding is stored", async () => {
    await writeCheckpoint(dir, tied);
    expect(await namesIn(dir)).not.toContain(LM_HEAD);
  });

  it("that are tied are one tensor, the embedding, when only the head is stored", async () => {
    const change: Change = (tensors) => {
      copyHead(tensors);
      tensors.delete(EMBEDDING);
    };
    await writeCheckpoint(dir, tied, { change });
    expect(await namesIn(dir)).toContain(EMBEDDING);
    expect(await namesIn(dir)).not.toContain(LM_HEAD);
    await using checkpoint = await openCheckpoint(dir);
    expect((await checkpoint.read(EMBEDDING)).shape).toEqual([12, 16]);
  });

  it("that are tied and both stored are one tensor when they are equal", async () => {
    await writeCheckpoint(dir, tied, { change: copyHead });
    expect(await namesIn(dir)).not.toContain(LM_HEAD);
  });

  it("that are both stored and differ are two, whatever the config says", async () => {
    const change: Change = (tensors) => {
      const embedding = tensors.get(EMBEDDING)!; // every model has one
      const data = Float32Array.from(embedding.data as Float32Array);
      data[5]! += 1;
      tensors.set(LM_HEAD, { ...embedding, data });
    };
    await writeCheckpoint(dir, tied, { change });
    expect(await namesIn(dir)).toContain(LM_HEAD);
  });
});

describe("shards and single files", () => {
  it("hold the same checkpoint", async () => {
    await writeCheckpoint(join(dir, "one"), TOY_CONFIG);
    await writeCheckpoint(join(dir, "three"), TOY_CONFIG, { numShards: 3 });
    await using one = await openCheckpoint(join(dir, "one"));
    await using three = await openCheckpoint(join(dir, "three"));
    expect(three.tensors).toEqual(one.tensors);
    for (const { name } of one.tensors) expect(await three.read(name)).toEqual(await one.read(name));
  });

  it("that are both there: the single file counts, as in transformers", async () => {
    await writeCheckpoint(dir, TOY_CONFIG, { numShards: 2 });
    unlinkSync(join(dir, SHARD));
    await writeCheckpoint(dir, TOY_CONFIG);
    expect(await namesIn(dir)).toContain(LM_HEAD);
  });

  it("may hold tensors that the model does not need", async () => {
    const change: Change = (tensors) =>
      tensors.set("model.rotary.inv_freq", hostTensor("int64", [1], BigInt64Array.of(1n)));
    await writeCheckpoint(dir, TOY_CONFIG, { change });
    expect(await namesIn(dir)).not.toContain("model.rotary.inv_freq");
  });
});
