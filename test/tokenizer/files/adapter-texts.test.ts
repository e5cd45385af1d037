/** Text files that trainers save beside an adapter, compared with those of the demo's base. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import { AppError } from "../../../src/errors.ts";
import { AdapterTextsReader, type BaseTexts } from "../../../src/tokenizer/files/adapter-texts.ts";
import { readTextFiles } from "../../../src/tokenizer/files/text-files.ts";

const DEMO = join(packageRoot(), "models", "demo");
const demoFile = (name: string): string => readFileSync(join(DEMO, name), "utf8");
const config = JSON.parse(demoFile("tokenizer_config.json")) as Record<string, unknown>;

let base: BaseTexts;
beforeAll(async () => {
  base = { files: await readTextFiles(DEMO), endTokenIds: [0], vocabSize: 512 };
});

async function read(files: Readonly<Record<string, string>>, ofBase: () => Promise<BaseTexts> = async () => base) {
  const texts = new Map(Object.entries(files).map(([name, text]) => [name, async () => text]));
  return await new AdapterTextsReader(ofBase).read(texts, "adapters/acme");
}

const withConfig = (changes: object) => ({ "tokenizer_config.json": JSON.stringify({ ...config, ...changes }) });
/** As transformers saves it: the template in a file of its own. */
const withTemplate = (text: string) => ({ ...withConfig({ chat_template: null }), "chat_template.jinja": text });

it("reports nothing where they are the base's, in whatever files", async () => {
  const same = { "tokenizer.json": demoFile("tokenizer.json") };
  for (const files of [{}, same, withConfig({}), { ...same, ...withTemplate(`${config.chat_template as string}\n`) }])
    expect(await read(files)).toEqual({ endTokenIds: [], notices: [] });
});

it.each([
  ["in the configuration", withConfig({ chat_template: "{{ messages }}" }), '"default"'],
  ["in a file", withTemplate("{{ messages }}"), '"default"'],
  ["for tools", { "additional_chat_templates/tool_use.jinja": "{{ tools }}" }, '"tool_use"'],
])("reports another chat template %s", async (_, files, name) => {
  const { endTokenIds, notices } = await read(files);
  expect(endTokenIds).toEqual([]);
  expect(notices).toEqual([
    expect.stringContaining(`the chat template beside the adapter (${name}) is not the base's`),
  ]);
});

it.each([
  ["a text", withConfig({ eos_token: "<|user|>" })],
  ["an object", withConfig({ eos_token: { __type: "AddedToken", content: "<|user|>" } })],
  ["of the older file", { "special_tokens_map.json": '{"eos_token": {"content": "<|user|>"}}' }],
])("makes another end token, %s, one of the adapter", async (_, files) => {
  const { endTokenIds, notices } = await read(files);
  expect(endTokenIds).toEqual([2]);
  expect(notices).toEqual([expect.stringContaining('2 "<|user|>"')]);
});

it.each([
  ["added_tokens.json", { "added_tokens.json": '{"<|im_end|>": 600}' }],
  ["tokenizer_config.json", withConfig({ added_tokens_decoder: { 600: { content: "<|im_end|>" } } })],
  ["tokenizer.json", { "tokenizer.json": '{"added_tokens": [{"id": 600, "content": "<|im_end|>"}]}' }],
  ["the end token", withConfig({ eos_token: "<|im_end|>" })],
])("reports a token that the base lacks, in %s", async (_, files) => {
  const { endTokenIds, notices } = await read(files);
  expect(endTokenIds).toEqual([]);
  expect(notices).toEqual([expect.stringMatching(/tokens that the base's does not have \("<\|im_end\|>"\)/)]);
});

it("reports files that cannot be read, and a base without text", async () => {
  expect((await read({ "tokenizer_config.json": "{" })).notices).toEqual([
    expect.stringMatching(/is not read: tokenizer_config\.json of adapters\/acme should be JSON/),
  ]);
  const none = async () => Promise.reject(new AppError("checkpoint_invalid", "no text here"));
  expect((await read(withConfig({}), none)).notices).toEqual([expect.stringContaining("no text here")]);
});
