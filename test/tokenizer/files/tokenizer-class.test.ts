/** What transformers' AutoTokenizer makes of a declared class and of the flags beside it: ids against its own. */
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.ts";
import { readJson, TOKENIZER_CLASSES } from "../../helpers/fixtures.ts";

interface Variant {
  readonly source: string;
  readonly modelType: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly rows: readonly { readonly text: string; readonly plain: number[]; readonly special: number[] }[];
}

const { cases } = readJson<{ cases: readonly Variant[] }>(TOKENIZER_CLASSES.cases);
let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mosara-class-"));
});
afterAll(() => rm(dir, { recursive: true }));

async function folderOf({ source, modelType, config }: Omit<Variant, "rows">): Promise<string> {
  const from = join(TOKENIZER_CLASSES.sources, source);
  const { tokenizer_class: _, ...plain } = readJson<Record<string, unknown>>(from, "tokenizer_config.json");
  await cp(join(from, "tokenizer.json"), join(dir, "tokenizer.json"));
  await writeFile(join(dir, "tokenizer_config.json"), JSON.stringify({ ...plain, ...config }));
  await writeFile(join(dir, "config.json"), JSON.stringify({ model_type: modelType }));
  return dir;
}

describe("a declared tokenizer class", () => {
  it.each(cases.map((one) => [`${one.source} in ${one.modelType} with ${JSON.stringify(one.config)}`, one] as const))(
    "%s gives transformers' ids",
    async (_, variant) => {
      const tokenizer = await loadTokenizer(await folderOf(variant));
      for (const { text, plain, special } of variant.rows) {
        expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(plain);
        expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(special);
      }
    },
  );

  it.each([
    ["unigram-metaspace", { tokenizer_class: "LlamaTokenizer" }, /LlamaTokenizer.*merges.*PreTrainedTokenizerFast/],
    ["sentencepiece-llama2", { tokenizer_class: "CodeLlamaTokenizer" }, /CodeLlamaTokenizer/],
    ["byte-level-llama3", { split_special_tokens: true }, /split_special_tokens/],
  ])("%s with %j is refused by name", async (source, config, message) => {
    const folder = await folderOf({ source, modelType: "llama", config });
    await expect(loadTokenizer(folder)).rejects.toMatchObject({
      code: "checkpoint_unsupported",
      message: expect.stringMatching(message),
    });
  });
});
