/** Conversations whose messages spell special tokens: they are text, or the conversation is refused. */
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { encodeChat } from "../../../src/tokenizer/chat/chat.ts";
import { makeChatTemplate } from "../../../src/tokenizer/chat/chat-template.ts";
import { loadTokenizer, type Tokenizer } from "../../../src/tokenizer/tokenizer.ts";
import { casesIn, fixturesDir } from "../../helpers/fixtures.ts";

const ROOT = join(fixturesDir("text"), "tokenizers");

describe.each(casesIn(ROOT, "cases.json"))("encodeChat with %s", (name) => {
  let tokenizer: Tokenizer;
  let mark = "";
  const make = (source: string) => makeChatTemplate(new Map([["default", source]]), { mark });
  const plain = () => make("{% for m in messages %}{{ mark + m.role + '\n' + m.content + mark }}{% endfor %}");
  const specialsIn = (ids: number[]) =>
    ids.filter((id) => tokenizer.isSpecial(id) && id !== tokenizer.tokenToId(unknown()));
  const unknown = () => (tokenizer.tokenToId("<unk>") === undefined ? "[UNK]" : "<unk>");
  beforeAll(async () => {
    tokenizer = await loadTokenizer(join(ROOT, name));
    mark = tokenizer.specialTokens.find((token) => token.content !== unknown())?.content ?? "";
  });

  it("gives the prompt's own ids when no message spells a special token", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (content) => {
        fc.pre(tokenizer.literals.find(content) === undefined);
        const prompt = `${mark}user\n${content}${mark}`;
        expect(encodeChat(tokenizer, plain(), [{ role: "user", content }])).toEqual(
          tokenizer.encode(prompt, { addSpecialTokens: false }),
        );
      }),
    );
  });

  it("encodes every spelling as text and keeps the template's tokens special", () => {
    const id = tokenizer.tokenToId(mark) as number;
    for (const { content } of tokenizer.specialTokens) {
      const ids = encodeChat(tokenizer, plain(), [{ role: "user", content: `say ${content} and ${content}` }]);
      expect(specialsIn(ids), content).toEqual([id, id]);
      const around = encodeChat(tokenizer, plain(), [{ role: "user", content }]);
      expect(specialsIn(around), content).toEqual([id, id]);
    }
  });

  it("encodes text around a spelling as it would stand there", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", " ", "\n", "é", "😀", mark), { maxLength: 8 }), (pieces) => {
        const ids = encodeChat(tokenizer, plain(), [{ role: "user", content: pieces.join("") }]);
        expect(specialsIn(ids).length).toBe(2);
      }),
    );
  });

  it("refuses a template that answers the spelling itself, and names the token", () => {
    const content = `a${mark}b`;
    const cutting = make("{{ messages[0].content.split(mark)[0] }}");
    expect(() => encodeChat(tokenizer, cutting, [{ role: "user", content }])).toThrow(
      expect.objectContaining({ code: "invalid_request", message: expect.stringContaining(JSON.stringify(mark)) }),
    );
  });

  it("finds spellings in parts and in tool calls", () => {
    const source = "{% for p in messages[0].content %}{{ p.text }}{% endfor %}{{ messages[0].tool_calls | tojson }}";
    const messages = [
      {
        role: "assistant",
        content: [{ type: "text", text: mark }],
        tool_calls: [{ function: { arguments: { a: mark } } }],
      },
    ];
    expect(specialsIn(encodeChat(tokenizer, make(source), messages))).toEqual([]);
  });

  it("keeps a spelling text that two parts, or a message and the template, make together", () => {
    const [head, tail] = [mark.slice(0, 2), mark.slice(2)];
    const joined = make("{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}");
    const content = [
      { type: "text", text: `a${head}` },
      { type: "text", text: `${tail}b` },
    ];
    const ids = encodeChat(tokenizer, joined, [{ role: "user", content }]);
    expect(specialsIn(ids)).toEqual([]);
    const completing = makeChatTemplate(new Map([["default", "{{ messages[0].content | trim }}{{ tail }}"]]), { tail });
    expect(specialsIn(encodeChat(tokenizer, completing, [{ role: "user", content: `a${head} \n` }]))).toEqual([]);
  });

  it("gives the prompt's own ids where a text only begins or ends like a special token", () => {
    const content = `${mark.slice(-1)} a ${mark.slice(0, 1)}`;
    const own = [tokenizer.encode(`${mark}user\n${content}${mark}`, { addSpecialTokens: false })];
    expect([encodeChat(tokenizer, plain(), [{ role: "user", content }])]).toEqual(own);
  });

  it("finds spellings in keys, in tools and in further variables, whatever they are called", () => {
    const source = "{{ messages[0].tool_calls | tojson }}{{ tools | tojson }}{{ note }}";
    const messages = [
      {
        role: "assistant",
        content: "",
        tool_calls: [{ function: { arguments: { [mark]: 1, role: mark, type: mark } } }],
      },
    ];
    const tools = [{ type: "function", function: { name: "f", description: mark, parameters: { type: mark } } }];
    expect(specialsIn(encodeChat(tokenizer, make(source), messages, { tools, kwargs: { note: mark } }))).toEqual([]);
  });

  it("lets a variable replace a special token by its name", () => {
    const ids = encodeChat(
      tokenizer,
      make("{{ bos_token }}{{ messages[0].content }}"),
      [{ role: "user", content: "a" }],
      {
        kwargs: { bos_token: mark },
      },
    );
    expect(specialsIn(ids)).toEqual([tokenizer.tokenToId(mark)]);
  });

  it("says that a model has no template", () => {
    expect(() => encodeChat(tokenizer, undefined, [{ role: "user", content: "" }])).toThrow(/no chat template/);
  });
});
