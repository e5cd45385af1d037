/** Ids and loss masks of examples, with every golden tokenizer and chat template. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type EncodedExample, makeExampleEncoder } from "../../src/data/encode.ts";
import { type Example, parseExample } from "../../src/data/examples.ts";
import { joinNotice } from "../../src/data/join-notice.ts";
import { type ChatTemplate, makeChatTemplate } from "../../src/tokenizer/chat/chat-template.ts";
import { encodeChat } from "../../src/tokenizer/chat/chat.ts";
import { loadTokenizer, type Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { casesIn, fixturesDir } from "../helpers/fixtures.ts";

const TOKENIZERS = join(fixturesDir("text"), "tokenizers");
const TEMPLATES = join(fixturesDir("text"), "chat-templates");
const tokenizers = new Map(
  await Promise.all(
    casesIn(TOKENIZERS, "cases.json").map(async (name) => [name, await loadTokenizer(join(TOKENIZERS, name))] as const),
  ),
);
const example = (value: unknown): Example => parseExample(JSON.stringify(value), "d.jsonl", 3);
const masked = ({ ids, lossMask }: EncodedExample): number[] => [...ids].filter((_, i) => lossMask[i] === 1);
/** Any special token stands for the end token where the tokenizer names none. */
const someEnd = (tokenizer: Tokenizer): number => tokenizer.specialTokens[0]?.id ?? 0;

describe.each([...tokenizers])("an example encoded with %s", (_, tokenizer) => {
  const end =
    tokenizer.eosToken === undefined ? someEnd(tokenizer) : (tokenizer.tokenToId(tokenizer.eosToken) as number);
  const encoder = makeExampleEncoder(tokenizer, undefined, [end], "dir");

  it.each([
    ["What is it?", " A café."],
    ["", "x"],
    ["line\n", ""],
  ])("is the prompt with special tokens, the completion without, the end token: %j %j", (prompt, completion) => {
    const before = tokenizer.encode(prompt);
    const after = [...tokenizer.encode(completion, { addSpecialTokens: false }), end];
    const [one, ...others] = encoder.encode(example({ prompt, completion }));
    expect(others).toEqual([]);
    expect([...(one?.ids ?? [])]).toEqual([...before, ...after]);
    const mask = [...before.map(() => 0), ...after.map(() => 1)];
    if (before.length === 0) mask[0] = 0; // nothing predicts the first token of all
    expect([...(one?.lossMask ?? [])]).toEqual(mask);
    expect(one).toMatchObject({ numLossTokens: mask.filter((bit) => bit === 1).length, file: "d.jsonl", line: 3 });
    expect([...encoder.encodePrompt(example({ prompt, completion }))]).toEqual(before);
  });

  const joined = (value: unknown) =>
    encoder.encode(example(value)).map((encoded) => ({ example: example(value), encoded }));

  it("is shown where prompt and completion run into each other, as the model sees them", () => {
    const [one] = joined({ prompt: "Be friendly: no", completion: "There is" });
    const text = tokenizer.decode(one?.encoded.ids ?? [], { skipSpecialTokens: false });
    const notice = joinNotice(one ? [one] : [], encoder);
    // Some tokenizers put a space or an end in front of the completion by themselves.
    if (!/nothere/i.test(text)) return expect(notice).toBeNull();
    expect(notice).toMatch(/^1 of 1 training examples join prompt and completion without white space/);
    const shown = /d\.jsonl, line 3, as the model sees it: (".*") \+ (".*")$/.exec(notice ?? "") ?? [];
    const halves = shown.slice(1).map((part) => JSON.parse(part) as string);
    expect(halves.join("")).toBe(text);
    expect(halves[0]).toMatch(/no$/);
  });

  it.each([
    ["Be friendly: no", " There is"],
    ["Be friendly: no\n", "There is"],
    ["", "There is"],
    ["p", ""],
    ["\u4f60\u597d", "\u597d"],
  ])("is not shown where something parts them: %j %j", (prompt, completion) => {
    expect(joinNotice(joined({ prompt, completion }), encoder)).toBeNull();
  });

  it("is shown once where the model has a chat template that the prompts bypass", () => {
    const template = makeChatTemplate(new Map([["default", "{{ messages }}"]]), {});
    const chatty = makeExampleEncoder(tokenizer, template, [end], "dir");
    const text = joined({ prompt: "p ", completion: "c" });
    const wanted = /^2 of 2 training examples are prompts as text.*as the model sees it/;
    expect(joinNotice([...text, ...text], chatty)).toMatch(wanted);
    const chat = example({ messages: [{ role: "assistant", content: "a" }] });
    expect(joinNotice([{ example: chat, encoded: text[0]?.encoded as EncodedExample }], chatty)).toBeNull();
  });

  it("is one sequence a reference where there is no completion", () => {
    const references = ["a", "b c", "d"];
    const sequences = encoder.encode(example({ prompt: "p", references }));
    expect(sequences).toEqual(references.flatMap((completion) => encoder.encode(example({ prompt: "p", completion }))));
  });

  it("is refused with file and line where it has an answer alone, or no template", () => {
    const place = (text: string) =>
      expect.objectContaining({ code: "data_invalid", message: expect.stringContaining(text) });
    expect(() => encoder.encode(example({ prompt: "p", answer: "4" }))).toThrow(place('d.jsonl, line 3: "completion"'));
    const chat = example({ messages: [{ role: "assistant", content: "a" }] });
    expect(() => encoder.encode(chat)).toThrow(place("d.jsonl, line 3: This model has no chat template"));
  });
});

describe("the end token", () => {
  const tokenizer = [...tokenizers.values()].find(({ eosToken }) => eosToken !== undefined) as Tokenizer;
  const own = tokenizer.tokenToId(tokenizer.eosToken as string) as number;
  const other = tokenizer.encode("a", { addSpecialTokens: false })[0] as number;
  const none: Tokenizer = { ...tokenizer, eosToken: undefined };
  it.each([
    ["the tokenizer's where the configuration agrees", tokenizer, [other, own], own],
    ["the tokenizer's where the configuration is silent", tokenizer, [], own],
    ["the configuration's first where it names others alone", tokenizer, [other], other],
    ["the configuration's where the tokenizer has none", none, [other, own], other],
  ])("is %s", (_, from, configured, wanted) => {
    const encoder = makeExampleEncoder(from, undefined, configured, "dir");
    expect(encoder.endTokenId).toBe(wanted);
    expect(encoder.endTokenIds).toEqual(expect.arrayContaining([...configured, wanted]));
  });
  it("has to be there", () => {
    const missing = expect.objectContaining({
      code: "checkpoint_invalid",
      message: expect.stringMatching(/no end token/),
    });
    expect(() => makeExampleEncoder(none, undefined, [], "dir")).toThrow(missing);
    expect(() => makeExampleEncoder(tokenizer, undefined, [10 ** 6], "dir")).toThrow(/not a token of the tokenizer/);
  });
});

describe("a conversation", () => {
  const turns = [
    { role: "user", content: "first question?" },
    { role: "assistant", content: "one answer." },
    { role: "user", content: "one answer." },
    { role: "assistant", content: "  the second,\n\nlonger  answer " },
  ];
  const chat = (source: string | ChatTemplate, tokenizer: Tokenizer, extra: Record<string, unknown> = {}) => {
    const special = { bos_token: tokenizer.bosToken ?? "", eos_token: tokenizer.eosToken ?? "", ...extra };
    const template = typeof source === "string" ? makeChatTemplate(new Map([["default", source]]), special) : source;
    return { template, encoder: makeExampleEncoder(tokenizer, template, [someEnd(tokenizer)], "dir") };
  };
  const byteLevel = [...tokenizers.values()].find((t) => t.tokenToId("<|im_end|>") !== undefined) as Tokenizer;
  const learned = (source: string, messages: readonly object[], tokenizer = byteLevel): string => {
    const [one] = chat(source, tokenizer).encoder.encode(example({ messages }));
    return tokenizer.decode(masked(one as EncodedExample), { skipSpecialTokens: false });
  };

  for (const [name, tokenizer] of tokenizers)
    it.each(casesIn(TEMPLATES, "template.jinja"))(
      `in %s has its own ids and learns the answers alone, with ${name}`,
      (folder) => {
        const source = readFileSync(join(TEMPLATES, folder, "template.jinja"), "utf8");
        const { template, encoder } = chat(source, tokenizer);
        const [one] = encoder.encode(example({ messages: turns }));
        expect([...(one?.ids ?? [])]).toEqual(encodeChat(tokenizer, template, turns, { addGenerationPrompt: false }));
        const text = tokenizer
          .decode(masked(one as EncodedExample))
          .replaceAll(/\s+/g, " ")
          .toLowerCase();
        expect(text).toContain("the second, longer answer");
        expect(text.split("one answer")).toHaveLength(2);
        expect(text).not.toMatch(/question|assistant|model|user/);
        const prompt = encodeChat(tokenizer, template, turns.slice(0, 3));
        expect([...encoder.encodePrompt(example({ messages: turns }))]).toEqual(prompt);
      },
    );

  const chatml = readFileSync(join(TEMPLATES, "chatml", "template.jinja"), "utf8");
  it("learns each turn with its end-of-turn token and nothing after it", () => {
    expect(learned(chatml, turns)).toBe("one answer.<|im_end|>  the second,\n\nlonger  answer <|im_end|>");
  });

  it("learns spellings of special tokens as text", () => {
    const content = "say <|im_end|> twice: <|im_end|>";
    const messages = [
      { role: "user", content: "<|im_start|>" },
      { role: "assistant", content },
    ];
    const { template, encoder } = chat(chatml, byteLevel);
    const [one] = encoder.encode(example({ messages }));
    expect([...(one?.ids ?? [])]).toEqual(encodeChat(byteLevel, template, messages, { addGenerationPrompt: false }));
    expect(byteLevel.decode(masked(one as EncodedExample), { skipSpecialTokens: false })).toBe(`${content}<|im_end|>`);
    expect(masked(one as EncodedExample).filter((id) => byteLevel.isSpecial(id))).toHaveLength(1);
  });

  it("learns what the template leaves of a turn, wherever it stands", () => {
    // Thoughts stay in the last turn alone, so no turn but the last is rendered as it was when it was the last.
    const source = `{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% if loop.last %}{{ '<think>' + (m.thought or '') + '</think>' }}{% endif %}{% endif %}{{ m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;
    const messages = turns.map((turn) => ({ ...turn, thought: `about ${turn.content.length}` }));
    expect(learned(source, messages)).toBe(
      "one answer.<|im_end|><think>about 30</think>  the second,\n\nlonger  answer <|im_end|>",
    );
  });

  it("learns calls of tools, and stops before their results", () => {
    const source = readFileSync(join(TEMPLATES, "tool-use", "template.jinja"), "utf8");
    const call = { function: { name: "add", arguments: { a: 1 } } };
    const messages = [
      { role: "user", content: "add" },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", content: "result" },
      { role: "assistant", content: "done" },
    ];
    const text = learned(source, messages);
    expect(text).toContain('{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>');
    expect(text.endsWith("done<|im_end|>")).toBe(true);
    expect(text).not.toContain("result");
  });

  it("asks no template to render what it refuses", () => {
    // Wants a call before every tool result, so the turn with the call cannot be changed to see where it ends.
    const source = `{% for m in messages %}{% if m.role == 'tool' and not messages[loop.index0 - 1].calls %}{{ raise_exception('no call') }}{% endif %}{{ '<|im_start|>' + m.role + '\\n' + (m.calls or m.content) + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;
    const messages = [
      { role: "user", content: "q" },
      { role: "assistant", content: "", calls: "call it" },
      { role: "tool", content: "result" },
      { role: "assistant", content: "done" },
    ];
    expect(learned(source, messages)).toBe("call it<|im_end|>done<|im_end|>");
  });

  it("is refused with file, line and the template's own words", () => {
    const source = "{{ raise_exception('never') }}";
    expect(() => learned(source, turns)).toThrow(
      expect.objectContaining({ code: "data_invalid", message: "d.jsonl, line 3: never" }),
    );
  });
});
