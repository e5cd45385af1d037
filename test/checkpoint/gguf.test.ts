import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { makeTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { checkTokenizer } from "../../src/tokenizer/files/tokenizer-files.ts";
import { flag, float32, float32Tensor, float32s, int32s, text, texts, uint32 } from "../helpers/models/gguf.ts";
import {
  BPE,
  MODEL,
  type Metadata,
  PIECES,
  SENTENCEPIECE,
  TENSORS,
  TOKENS,
  tensorsOf,
  without,
  writeGguf,
} from "../helpers/models/gguf-models.ts";

const folder = mkdtempSync(join(tmpdir(), "mosara-gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));
const write = writeGguf.bind(null, folder);

/** The JSON files that a GGUF file stands for. */
async function textsIn(path: string): Promise<Record<string, Record<string, unknown>>> {
  await using checkpoint = await openCheckpoint(path);
  const files: Record<string, Record<string, unknown>> = {};
  for (const [name, read] of checkpoint.texts)
    files[name] = JSON.parse(String(await read())) as Record<string, unknown>;
  return files;
}

async function tokenizerIn(path: string): Promise<ReturnType<typeof makeTokenizer>> {
  const files = await textsIn(path);
  return makeTokenizer(checkTokenizer(files["tokenizer.json"]!, files["tokenizer_config.json"]!, path), path);
}

describe("the configuration of a GGUF file", () => {
  it("is that of the model's config.json, 1e-5 not being 9.999999747378752e-6", async () => {
    const { "config.json": config } = await textsIn(write({ ...MODEL, ...BPE }));
    expect(config).toMatchObject({
      model_type: "llama",
      rms_norm_eps: 1e-5,
      vocab_size: TOKENS.length,
      num_key_value_heads: 1,
      tie_word_embeddings: true,
      bos_token_id: 6,
    });
  });

  it.each<[string, Metadata, unknown]>([
    [
      "linear",
      { "llama.rope.scaling.type": text("linear"), "llama.rope.scaling.factor": float32(4) },
      { rope_type: "linear", factor: 4 },
    ],
    ["linear as in 2023", { "llama.rope.scale_linear": float32(2) }, { rope_type: "linear", factor: 2 }],
    [
      "yarn",
      {
        "llama.rope.scaling.type": text("yarn"),
        "llama.rope.scaling.factor": float32(4),
        "llama.rope.scaling.original_context_length": uint32(8),
        "llama.rope.scaling.yarn_beta_fast": float32(16),
      },
      { rope_type: "yarn", factor: 4, original_max_position_embeddings: 8, beta_fast: 16 },
    ],
    ["none", { "llama.rope.scaling.type": text("none") }, null],
  ])("stretches positions: %s", async (_, settings, scaling) => {
    const { "config.json": config } = await textsIn(write({ ...MODEL, ...BPE, ...settings }));
    expect(config!.rope_scaling).toEqual(scaling);
  });

  it("keeps divisors of frequencies that are not Llama 3's", async () => {
    const factors = float32Tensor("rope_freqs.weight", [2], [2, 3]);
    const { "config.json": config } = await textsIn(write({ ...MODEL, ...BPE }, [...TENSORS, factors]));
    expect(config!.rope_scaling).toMatchObject({ rope_type: "longrope", short_factor: [2, 3], attention_factor: 1 });
  });

  it("reads q, k and v out of one matrix", async () => {
    const joined = float32Tensor(
      "blk.0.attn_qkv.weight",
      [16, 8],
      Array.from({ length: 128 }, (_, i) => Math.floor(i / 8)),
    );
    const others = TENSORS.filter(({ name }) => !/attn_[qkv]\./.test(name));
    await using checkpoint = await openCheckpoint(write({ ...MODEL, ...BPE }, [...others, joined]));
    const firsts = async (name: string): Promise<number[]> => {
      const { data } = await checkpoint.read(`model.layers.0.self_attn.${name}_proj.weight`);
      return Array.from(data as Float32Array).filter((_, i) => i % 8 === 0);
    };
    // Heads of four rows: pairs of neighbours become halves, in q and k.
    expect(await firsts("q")).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
    expect(await firsts("k")).toEqual([8, 10, 9, 11]);
    expect(await firsts("v")).toEqual([12, 13, 14, 15]);
  });
});

describe("the tokenizer of a GGUF file", () => {
  it("leaves fillers out, and knows special tokens from those that users see", async () => {
    const tokenizer = await tokenizerIn(write({ ...MODEL, ...BPE }));
    expect(tokenizer.encode("abc")).toEqual([6, 5]); // llama-bpe begins with bos
    expect(tokenizer.tokenToId("[PAD10]")).toBeUndefined();
    expect(tokenizer.specialTokens.map(({ id }) => id)).toEqual([6, 7, 8]);
    expect(tokenizer.decode([6, 9, 5])).toBe("<tool>abc");
  });

  it("ends answers at every end that the file names or spells", async () => {
    const { "generation_config.json": generation } = await textsIn(write({ ...MODEL, ...BPE }));
    expect(generation!.eos_token_id).toEqual([7, 8]);
  });

  it("puts eos behind a text where the file says so, and bos nowhere", async () => {
    const flags = { "tokenizer.ggml.add_bos_token": flag(false), "tokenizer.ggml.add_eos_token": flag(true) };
    expect((await tokenizerIn(write({ ...MODEL, ...BPE, ...flags }))).encode("abc")).toEqual([5, 7]);
  });

  it("keeps the chat templates as they are", async () => {
    const plain = await textsIn(write({ ...MODEL, ...BPE, "tokenizer.chat_template": text("{{ a }}\n") }));
    expect(plain["tokenizer_config.json"]!.chat_template).toBe("{{ a }}\n");
    const named = await textsIn(
      write({
        ...MODEL,
        ...BPE,
        "tokenizer.chat_template": text("plain"),
        "tokenizer.chat_template.tool_use": text("tools"),
        "tokenizer.chat_templates": texts(["tool_use"]),
      }),
    );
    expect(named["tokenizer_config.json"]!.chat_template).toEqual([
      { name: "default", template: "plain" },
      { name: "tool_use", template: "tools" },
    ]);
  });

  it("merges pieces by their scores", async () => {
    const tokenizer = await tokenizerIn(write({ ...MODEL, ...SENTENCEPIECE }, tensorsOf(PIECES.length)));
    expect(tokenizer.encode("ab")).toEqual([1, 6, 5]); // "ab" before "▁a"
    expect(tokenizer.encode("a")).toEqual([1, 7]);
    expect(tokenizer.decode([1, 7, 4])).toBe("ab");
  });

  it("finds runs of spaces that are tokens of their own, the longest first, as llama.cpp does for Gemma", async () => {
    const runs = ["  ", "   "];
    const kinds = [2, 3, 3, 1, 1, 1, 1, 1, 1, 4, 4]; // unknown, control, normal, user-defined
    const tokenizer = await tokenizerIn(
      write(
        {
          ...MODEL,
          ...SENTENCEPIECE,
          "tokenizer.ggml.tokens": texts([...PIECES, ...runs]),
          "tokenizer.ggml.token_type": int32s(kinds),
          "tokenizer.ggml.scores": float32s([0, 0, 0, -3, -4, -1, -5, -2, -6, -7, -8]),
          "tokenizer.ggml.add_space_prefix": flag(false),
        },
        tensorsOf(PIECES.length + runs.length),
      ),
    );
    expect(tokenizer.encode("a   b")).toEqual([1, 3, 10, 4]);
    expect(tokenizer.encode("a     b")).toEqual([1, 3, 10, 9, 4]);
    expect(tokenizer.decode([3, 10, 9, 4])).toBe("a     b");
  });

  it.each<[string, Metadata, RegExp]>([
    ["says nothing", without(BPE, "tokenizer.ggml.pre"), /has no tokenizer\.ggml\.pre.*"default"/],
    ["says default", { ...BPE, "tokenizer.ggml.pre": text("default") }, /has tokenizer\.ggml\.pre "default"/],
    ["has no tokenizer", {}, /has no tokenizer/],
  ])("comes with a warning where the file %s", async (_, tokenizer, message) => {
    await using checkpoint = await openCheckpoint(write({ ...MODEL, ...tokenizer }));
    expect(checkpoint.notices).toEqual([expect.stringMatching(message)]);
  });
});
