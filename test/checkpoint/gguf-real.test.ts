import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { bytesOf, hostTensor, toFloat32 } from "../../src/tensor/host-tensor.ts";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { writeTexts } from "../helpers/models/checkpoints.ts";
import { GGUF_GOLDEN, readJson } from "../helpers/fixtures.ts";
import { hasPython, runPython } from "../helpers/outside/python.ts";
import { REAL_FILES, realFile } from "../../scripts/agreement/real-files.ts";

interface Golden {
  readonly texts: readonly string[];
  /** Ids by llama.cpp, without bos. */
  readonly ids: Readonly<Record<string, readonly (readonly number[])[]>>;
}

const golden = readJson<Golden>(GGUF_GOLDEN, "real-files.json");
const TRANSFORMERS = `
import hashlib, json, sys, torch
from transformers import AutoModelForCausalLM
folder, name = json.load(sys.stdin)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
hashes = {key: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest() for key, value in model.state_dict().items()}
print(json.dumps(hashes))
`;

const folder = mkdtempSync(join(tmpdir(), "mosara-real-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(REAL_FILES)("$name", (file) => {
  const path = realFile(file);

  it.skipIf(path === null)("has llama.cpp's ids", { timeout: 120_000 }, async () => {
    await using checkpoint = await openCheckpoint(path ?? "");
    const tokenizer = await loadTokenizer(await writeTexts(checkpoint, join(folder, file.name)));
    const found = golden.texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
    expect(found).toEqual(golden.ids[file.name]);
  });

  const hasLibraries = path !== null && hasPython(["torch", "transformers", "gguf"], `the tensors of ${file.name}`);
  it.skipIf(!hasLibraries)("has transformers' tensors bit for bit", { timeout: 600_000 }, async () => {
    const whole = path ?? "";
    const wanted = runPython<Record<string, string>>(TRANSFORMERS, [dirname(whole), basename(whole)]);
    await using checkpoint = await openCheckpoint(whole);
    for (const { name } of checkpoint.tensors) {
      const tensor = await checkpoint.read(name);
      const bytes = bytesOf(hostTensor("float32", tensor.shape, toFloat32(tensor)));
      expect(createHash("sha256").update(bytes).digest("hex"), name).toBe(wanted[name]);
    }
  });
});
