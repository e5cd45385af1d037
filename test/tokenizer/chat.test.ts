/** Conversations whose messages spell special tokens: they are text, or the conversation is refused. */
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { encodeChat } from "../../src/tokenizer/chat.ts";
import { makeChatTemplate } from "../../src/tokenizer/chat-template.ts";
import { loadTokenizer, type Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { casesIn, fixturesDir } from "../helpers/fixtures.ts";

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

  it("says that a model has no template", () => {
    expect(() => encodeChat(tokenizer, undefined, [{ role: "user", content: "" }])).toThrow(/no chat template/);
  });
});
