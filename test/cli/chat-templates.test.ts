/**
 * The named chat templates of a model survive every command that writes one, and are chosen as transformers chooses
 * them.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readManifest } from "../../src/base/manifest.ts";
import { loadChatTemplate } from "../../src/tokenizer/chat/chat-template.ts";
import { adapterFile } from "../helpers/models/base-adapters.ts";
import { casesIn, fixturesDir, modelCases } from "../helpers/fixtures.ts";
import { mosara, startServer, tempDir } from "../helpers/server.ts";

const TEMPLATES = {
  "chat_template.jinja": "D{% for m in messages %}{{ m.content }}{% endfor %}",
  "additional_chat_templates/tool_use.jinja": "T{{ tools | length }}{% for m in messages %}{{ m.content }}{% endfor %}",
  "additional_chat_templates/rag.jinja": "R{{ documents[0].title }}{% for m in messages %}{{ m.content }}{% endfor %}",
};
const TOKENIZERS = join(fixturesDir("text"), "tokenizers");
const tokenizer = join(TOKENIZERS, casesIn(TOKENIZERS, "cases.json")[0] ?? "");
const golden = modelCases().find(({ name }) => name === "llama") ?? modelCases()[0];
if (!golden) throw new Error("no golden model");
const work = tempDir();
const checkpoint = join(work, "checkpoint");
const base = join(work, "base");

const run = async (...args: string[]): Promise<void> => {
  const { code, stderr } = await mosara(...args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
};

function writeTemplates(dir: string): void {
  mkdirSync(join(dir, "additional_chat_templates"), { recursive: true });
  for (const [path, source] of Object.entries(TEMPLATES)) writeFileSync(join(dir, path), source);
}

beforeAll(async () => {
  const texts = join(work, "texts");
  cpSync(tokenizer, texts, { recursive: true });
  rmSync(join(texts, "cases.json"), { force: true });
  writeTemplates(texts);
  const config = join(work, "config.json");
  cpSync(join(golden.dir, "config.json"), config);
  const vocabulary = JSON.parse(readFileSync(config, "utf8")) as object;
  writeFileSync(config, JSON.stringify({ ...vocabulary, vocab_size: 1300, bos_token_id: null, eos_token_id: null }));
  await run("init", "--config", config, "--tokenizer", texts, "--out", checkpoint);
  await run("build", checkpoint, "--out", base, "--weights", "float32");
});

async function assertTemplates(dir: string): Promise<void> {
  const template = await loadChatTemplate(dir);
  const messages = [{ role: "user", content: "hi" }];
  expect(template?.render(messages)).toBe("Dhi");
  expect(template?.render(messages, { tools: [{ type: "function" }] })).toBe("T1hi");
  expect(template?.render(messages, { templateName: "rag", kwargs: { documents: [{ title: "t" }] } })).toBe("Rthi");
}

describe("named chat templates", () => {
  it("are those of the files after init and build", async () => {
    await assertTemplates(checkpoint);
    await assertTemplates(base);
  });

  it("are those of the files after merge", async () => {
    const adapter = join(work, "a.mosara");
    writeFileSync(adapter, adapterFile(await readManifest(base), { seed: 1 }));
    const merged = join(work, "merged");
    await run("merge", "--model", base, "--adapter", adapter, "--out", merged);
    await assertTemplates(merged);
  });

  it("are chosen by a request, and an unknown name is refused with the known ones", async () => {
    await using server = await startServer(["--model", base]);
    const ask = async (fields: object) => {
      const body = { model: "base", messages: [{ role: "user", content: "hi" }], max_tokens: 1, ...fields };
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      return (await response.json()) as {
        usage?: { prompt_tokens: number };
        error?: { message: string; param: string };
      };
    };
    const [plain, rag] = [await ask({}), await ask({ chat_template: "rag", documents: [{ title: "a longer title" }] })];
    expect(rag.usage?.prompt_tokens).toBeGreaterThan(plain.usage?.prompt_tokens ?? Infinity);
    const { error } = await ask({ chat_template: "{{ messages }}" });
    expect(error).toMatchObject({
      param: "chat_template",
      message: expect.stringContaining("only default, rag, tool_use") as string,
    });
  });
});
