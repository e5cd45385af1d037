/** The text files of a checkpoint, chat templates in their folder among them, travel with every copy of it. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { copyCheckpointTexts, listCheckpointTexts } from "../../src/checkpoint/checkpoint-files.ts";

const root = mkdtempSync(join(tmpdir(), "mosara-texts-"));
afterAll(() => rmSync(root, { recursive: true }));

const TEXTS = [
  "added_tokens.json",
  "additional_chat_templates/rag.jinja",
  "additional_chat_templates/tool_use.jinja",
  "chat_template.jinja",
  "config.json",
  "special_tokens_map.json",
  "tokenizer.json",
];
const OTHERS = ["model.safetensors", "README.md", "additional_chat_templates/notes.txt", "tokenizer_old/x.json"];

it("lists and copies them, and nothing else", async () => {
  const from = join(root, "from");
  for (const path of [...TEXTS, ...OTHERS]) {
    mkdirSync(dirname(join(from, path)), { recursive: true });
    writeFileSync(join(from, path), `content of ${path}`);
  }
  expect(await listCheckpointTexts(from)).toEqual(TEXTS);
  const to = join(root, "to");
  await copyCheckpointTexts(from, to);
  expect(await listCheckpointTexts(to)).toEqual(TEXTS);
  for (const path of TEXTS) expect(readFileSync(join(to, path), "utf8")).toBe(`content of ${path}`);
  const some = join(root, "some");
  await copyCheckpointTexts(from, some, (path) => path !== "config.json");
  expect(await listCheckpointTexts(some)).toEqual(TEXTS.filter((path) => path !== "config.json"));
});
