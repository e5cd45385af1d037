import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { float32, int32s, text, uint32 } from "../helpers/models/gguf.ts";
import {
  BPE,
  MODEL,
  PIECES,
  SENTENCEPIECE,
  TENSORS,
  tensorsOf,
  without,
  writeGguf,
  zeros,
} from "../helpers/models/gguf-models.ts";

const folder = mkdtempSync(join(tmpdir(), "mosara-gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));
const write = writeGguf.bind(null, folder);

describe("a GGUF file is refused", () => {
  it.each<[string, string, () => string, RegExp]>([
    [
      "of another architecture",
      "unsupported",
      () => write({ ...MODEL, ...BPE, "general.architecture": text("mamba") }),
      /architecture "mamba".*llama, qwen2/,
    ],
    [
      "that is an adapter",
      "unsupported",
      () => write({ ...MODEL, ...BPE, "general.type": text("adapter") }),
      /has the type "adapter"/,
    ],
    [
      "with more tokens than rows",
      "invalid",
      () => write({ ...MODEL, ...BPE }, tensorsOf(5)),
      /token "abc" has the id 5, but the embedding has 5 rows/,
    ],
    [
      "with positions of another magnitude",
      "unsupported",
      () => write({ ...MODEL, ...BPE, "llama.rope.scaling.attn_factor": float32(2) }),
      /attn_factor 2/,
    ],
    [
      "without an architecture",
      "invalid",
      () => write(without({ ...MODEL, ...BPE }, "general.architecture")),
      /general\.architecture/,
    ],
    [
      "without a size",
      "invalid",
      () => write(without({ ...MODEL, ...BPE }, "llama.block_count")),
      /lacks llama\.block_count/,
    ],
    [
      "with a size of another kind",
      "invalid",
      () => write({ ...MODEL, ...BPE, "llama.block_count": text("1") }),
      /llama\.block_count must be a whole number, found "1"/,
    ],
    [
      "with experts",
      "unsupported",
      () => write({ ...MODEL, ...BPE, "llama.expert_count": uint32(8) }),
      /llama\.expert_count/,
    ],
    [
      "with layers of different sizes",
      "unsupported",
      () => write({ ...MODEL, ...BPE, "llama.feed_forward_length": int32s([4, 8]) }),
      /feed_forward_length differs between layers/,
    ],
    [
      "with an unknown scaling of positions",
      "unsupported",
      () =>
        write({ ...MODEL, ...BPE, "llama.rope.scaling.type": text("ntk"), "llama.rope.scaling.factor": float32(2) }),
      /"ntk".*none, linear, yarn/,
    ],
    [
      "without a tensor",
      "invalid",
      () =>
        write(
          { ...MODEL, ...BPE },
          TENSORS.filter(({ name }) => !name.includes("ffn_down")),
        ),
      /lacks the tensor .*down/,
    ],
    [
      "with a tensor of another shape",
      "invalid",
      () =>
        write(
          { ...MODEL, ...BPE },
          TENSORS.map((one) => (one.name === "blk.0.ffn_up.weight" ? zeros(one.name, 8, 4) : one)),
        ),
      /blk\.0\.ffn_up\.weight is stored as \[8,4\], but its metadata requires \[4,8\]/,
    ],
    [
      "with a tensor that has no place",
      "unsupported",
      () => write({ ...MODEL, ...BPE }, [...TENSORS, zeros("blk.0.attn_sinks.weight", 2)]),
      /blk\.0\.attn_sinks\.weight does not belong to a llama model/,
    ],
    [
      "with a type that is not read",
      "unsupported",
      () =>
        write({ ...MODEL, ...BPE }, [
          ...TENSORS,
          { name: "output.weight", sizes: [256, 1], type: 16, data: new Uint8Array(66) },
        ]),
      /output\.weight is IQ2_XXS; supported: F32, F16/,
    ],
    [
      "that is a vocabulary alone",
      "invalid",
      () => write({ ...MODEL, ...BPE }, []),
      /lacks the tensor token_embd\.weight/,
    ],
    [
      "with words that are not known",
      "unsupported",
      () => write({ ...MODEL, ...BPE, "tokenizer.ggml.pre": text("newer") }),
      /tokenizer\.ggml\.pre "newer".*Known: default, gpt-2/,
    ],
    [
      "without merges",
      "invalid",
      () => write(without({ ...MODEL, ...BPE }, "tokenizer.ggml.merges")),
      /has no tokenizer\.ggml\.merges/,
    ],
    [
      "without tokens",
      "invalid",
      () => write(without({ ...MODEL, ...BPE }, "tokenizer.ggml.tokens")),
      /has no tokenizer\.ggml\.tokens/,
    ],
    [
      "with too few kinds of tokens",
      "invalid",
      () => write({ ...MODEL, ...BPE, "tokenizer.ggml.token_type": int32s([1]) }),
      /token_type has 1 entries for 12 tokens/,
    ],
    [
      "with pieces without scores",
      "invalid",
      () => write(without({ ...MODEL, ...SENTENCEPIECE }, "tokenizer.ggml.scores"), tensorsOf(PIECES.length)),
      /scores has 0 entries for 9 tokens/,
    ],
    [
      "with another kind of tokenizer",
      "unsupported",
      () => write({ ...MODEL, ...BPE, "tokenizer.ggml.model": text("t5") }),
      /tokenizer\.ggml\.model "t5".*gpt2, llama/,
    ],
    ["of another version", "invalid", () => write({ ...MODEL, ...BPE }, TENSORS, { version: 1 }), /version 1/],
  ])("%s", async (_, code, make, message) => {
    await expect(openCheckpoint(make())).rejects.toMatchObject({
      code: `checkpoint_${code}`,
      message: expect.stringMatching(message),
    });
  });
});
