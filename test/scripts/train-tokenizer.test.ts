/**
 * The tokenizer that the built script writes: read by us, by a plain reading of its merges, and by the `tokenizers`
 * package. Needs dist/.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { loadChatTemplate } from "../../src/tokenizer/chat/chat-template.ts";
import { byteLevelCharacters } from "../../src/tokenizer/stream-decoder.ts";
import { loadTokenizer, type Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { casesIn, fixturesDir, readJson } from "../helpers/fixtures.ts";
import { hasPython, runPython } from "../helpers/outside/python.ts";

const SCRIPT = join(packageRoot(), "dist", "scripts", "train-tokenizer.js");
const dir = mkdtempSync(join(tmpdir(), "mosara-tokenizer-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Every text of the tokenizer fixtures: scripts of the world, white space, emoji, bytes. */
const TOKENIZERS = join(fixturesDir("text"), "tokenizers");
const texts = [
  ...new Set(
    casesIn(TOKENIZERS, "cases.json").flatMap((name) =>
      readJson<{ texts: { text: string }[] }>(TOKENIZERS, name, "cases.json").texts.map(({ text }) => text),
    ),
  ),
];
const prose = readFileSync(join(packageRoot(), "test", "golden", "training", "README.md"), "utf8");

/** Lone surrogates are no characters. */
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, "\ufffd");

function train(args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}
function write(name: string, content: string): string {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
}
const json = (name: string) =>
  readJson<{ model: { vocab: Record<string, number>; merges: [string, string][] } }>(dir, name, "tokenizer.json");

let corpus: string;
let lines: string;
let tokenizer: Tokenizer;
const trained = (name: string, ...flags: string[]) =>
  train(["--data", corpus, "--data", lines, "--vocab-size", "700", "--out", join(dir, name), ...flags]);
beforeAll(async () => {
  corpus = write("corpus.txt", prose);
  lines = write("lines.jsonl", texts.map((text) => `${JSON.stringify({ text: wellFormed(text) })}\n`).join(""));
  expect(trained("plain").status).toBe(0);
  tokenizer = await loadTokenizer(join(dir, "plain"));
});

/** Merges applied to one word after the other, the earliest merge first: what a byte-level BPE file means. */
function plainIds(text: string, { vocab, merges }: ReturnType<typeof json>["model"]): number[] {
  const characters = byteLevelCharacters();
  const ranks = new Map(merges.map(([a, b], rank) => [`${a} ${b}`, rank]));
  const words = text.match(/'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu) ?? [];
  return words.flatMap((word) => {
    const tokens = Array.from(new TextEncoder().encode(word), (byte) => characters[byte] ?? "");
    for (;;) {
      const found = tokens.slice(1).map((token, i) => ranks.get(`${tokens[i]} ${token}`) ?? Infinity);
      const best = Math.min(...found, Infinity);
      if (best === Infinity) return tokens.map((token) => vocab[token] ?? -1);
      const at = found.indexOf(best);
      tokens.splice(at, 2, `${tokens[at]}${tokens[at + 1]}`);
    }
  });
}

describe("a trained tokenizer", () => {
  it("has the size that was asked for, special tokens first, then every byte", () => {
    const { vocab, merges } = json("plain").model;
    expect(Object.values(vocab).sort((a, b) => a - b)).toEqual(Array.from({ length: 700 }, (_, id) => id));
    expect(vocab["<|endoftext|>"]).toBe(0);
    expect(byteLevelCharacters().every((character) => vocab[character] !== undefined)).toBe(true);
    expect(merges).toHaveLength(700 - 257);
    expect(tokenizer).toMatchObject({ vocabSize: 700, eosToken: "<|endoftext|>", bosToken: undefined });
  });

  it("encodes as its merges say, and back", () => {
    const { model } = json("plain");
    for (const text of [...texts, prose]) {
      const ids = tokenizer.encode(wellFormed(text));
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(wellFormed(text));
      if (!text.includes("<|endoftext|>")) expect(ids).toEqual(plainIds(wellFormed(text), model));
    }
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(wellFormed(text)), { skipSpecialTokens: false })).toBe(
          wellFormed(text),
        );
      }),
    );
  });

  it("makes text shorter the larger it is", () => {
    expect(train(["--data", corpus, "--vocab-size", "300", "--out", join(dir, "small")]).status).toBe(0);
    expect(json("small").model.merges).toHaveLength(300 - 257);
    expect(tokenizer.encode(prose).length).toBeLessThan(prose.length / 2);
  });

  it("comes out the same, to the byte", () => {
    expect(trained("again").status).toBe(0);
    for (const file of ["tokenizer.json", "tokenizer_config.json"])
      expect(readFileSync(join(dir, "again", file))).toEqual(readFileSync(join(dir, "plain", file)));
  });

  it("takes special tokens, bos, eos and a chat template", async () => {
    const template = write(
      "chat.jinja",
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}",
    );
    const flags = [
      "--special",
      "<pad>",
      "--special",
      "<|im_start|>",
      "--bos",
      "<s>",
      "--eos",
      "<|im_end|>",
      "--chat-template",
      template,
    ];
    expect(trained("chat", ...flags).status).toBe(0);
    const chat = await loadTokenizer(join(dir, "chat"));
    expect(chat.specialTokens.map(({ content }) => content)).toEqual(["<pad>", "<|im_start|>", "<|im_end|>", "<s>"]);
    expect(chat).toMatchObject({ bosToken: "<s>", eosToken: "<|im_end|>", vocabSize: 700 });
    expect(chat.encode("a")[0]).toBe(chat.tokenToId("<s>"));
    expect(chat.encode("a", { addSpecialTokens: false })).toHaveLength(1);
    expect(chat.encode("x<|im_end|>").at(-1)).toBe(chat.tokenToId("<|im_end|>"));
    expect((await loadChatTemplate(join(dir, "chat")))?.render([{ role: "user", content: "a" }])).toContain("user\na");
  });

  it("learns nothing from the spelling of a special token", () => {
    const data = write("special.txt", "<|endoftext|>".repeat(50));
    expect(train(["--data", data, "--vocab-size", "400", "--out", join(dir, "none")])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/There is no text/),
    });
  });

  it.each([
    [["--vocab-size", "400", "--out", "x"], 2, /Usage/],
    [["--data", "x", "--vocab-size", "256", "--out", "x"], 2, /--vocab-size must be a whole number from 257/],
    [["--data", "x", "--vocab-size", "400", "--out", "x", "--special", ""], 2, /special token is empty/],
    [["--data", "nowhere.txt", "--vocab-size", "400", "--out", "x"], 2, /There is no file nowhere.txt/],
    [["--nonsense"], 2, /nonsense/],
  ])("is refused in one line: %j", (args, code, message) => {
    const { status, stderr } = train(args);
    expect([status, stderr]).toEqual([code, expect.stringMatching(message)]);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("names the line of the data that is wrong", () => {
    const data = write("bad.jsonl", '{"text":"a"}\n{"text":3}\n');
    const { status, stderr } = train(["--data", data, "--vocab-size", "400", "--out", join(dir, "bad")]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/bad\.jsonl, line 2: "text" should be a string/)]);
  });
});

describe.skipIf(!hasPython(["tokenizers"], "trained tokenizers against the tokenizers package"))(
  "the tokenizers package",
  () => {
    it("encodes token for token alike", () => {
      const given = [...texts, prose].map((text) => wellFormed(text));
      const program = `
import json, sys
from tokenizers import Tokenizer
given = json.load(sys.stdin)
tokenizer = Tokenizer.from_file(given["file"])
print(json.dumps([tokenizer.encode(text).ids for text in given["texts"]]))`;
      const file = join(dir, "plain", "tokenizer.json");
      const ids = runPython<number[][]>(program, { file, texts: given });
      given.forEach((text, i) => expect(tokenizer.encode(text), JSON.stringify(text.slice(0, 80))).toEqual(ids[i]));
    });

    it("learns the same merges from the same text", () => {
      const program = `
import json, sys
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
given = json.load(sys.stdin)
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.train_from_iterator([given["text"]], trainers.BpeTrainer(vocab_size=300, min_frequency=2, show_progress=False,
    special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
model = json.loads(tokenizer.to_str())["model"]
print(json.dumps({"vocab": model["vocab"], "merges": model["merges"]}))`;
      const { vocab, merges } = json("small").model;
      expect(runPython(program, { text: prose })).toEqual({ vocab, merges });
    });
  },
);
