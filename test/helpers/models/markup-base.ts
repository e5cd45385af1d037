/** A base that answers with markup and never ends: what a page must show as text, and what it must be able to stop. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { builtBase } from "./bases.ts";
import { TOY_CONFIG, writeCheckpoint } from "./checkpoints.ts";
import { llamaCheckpoint } from "./golden-base.ts";
import { tempDir } from "../server.ts";

/** What it says, over and over. A page that takes it for HTML sets its title to `broken`. */
export const MARKUP = [
  `<img src="x" onerror="document.title='broken'"> `,
  "<script>document.title='broken'</script> ",
  "<b>bold</b> ",
];

interface TokenizerFile {
  readonly model: { readonly vocab: Record<string, number> };
  readonly added_tokens: { id: number; content: string }[];
}

const CHAT_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: ";

/** The base directory. The context is 16,384 tokens long. */
export async function markupBase(): Promise<string> {
  const dir = tempDir();
  const tokenizer = JSON.parse(readFileSync(join(llamaCheckpoint(), "tokenizer.json"), "utf8")) as TokenizerFile;
  const firstId = Object.keys(tokenizer.model.vocab).length;
  const common = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
  const added = MARKUP.map((content, index) => ({ id: firstId + index, content, ...common }));
  const size = { vocab_size: firstId + MARKUP.length, max_position_embeddings: 16_384, eos_token_id: 1 };
  await writeCheckpoint(
    dir,
    { ...TOY_CONFIG, ...size },
    {
      // The first number of every hidden state is large and positive, and the head reads it for the markup's tokens
      // alone.
      change: (tensors) => {
        setColumn(tensors.get("model.embed_tokens.weight")?.data, TOY_CONFIG["hidden_size"] as number, () => 300);
        const isMarkup = (token: number) => token >= firstId;
        setColumn(tensors.get("lm_head.weight")?.data, TOY_CONFIG["hidden_size"] as number, (token) =>
          isMarkup(token) ? 9 : -9,
        );
      },
    },
  );
  writeFileSync(
    join(dir, "tokenizer.json"),
    JSON.stringify({ ...tokenizer, added_tokens: [...tokenizer.added_tokens, ...added] }),
  );
  copyFileSync(join(llamaCheckpoint(), "tokenizer_config.json"), join(dir, "tokenizer_config.json"));
  const config = JSON.parse(readFileSync(join(dir, "tokenizer_config.json"), "utf8")) as object;
  writeFileSync(
    join(dir, "tokenizer_config.json"),
    JSON.stringify({ ...config, chat_template: CHAT_TEMPLATE, model_max_length: 16_384 }),
  );
  return await builtBase(dir);
}

/** Sets the first number of each row. */
function setColumn(data: unknown, width: number, valueOf: (row: number) => number): void {
  if (!(data instanceof Float32Array)) throw new Error("internal: the checkpoint is not float32");
  for (let row = 0; row * width < data.length; row++) data[row * width] = valueOf(row);
}
