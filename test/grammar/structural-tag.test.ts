/** Structural tags: free text up to a trigger, from which on a tag is bound. */
import { describe, expect, it } from "vitest";
import { accepts, allowedIds, automatonOf, matcherOf, vocabularyOf } from "../helpers/grammar-walk.ts";

const tag = (format: object) =>
  automatonOf({ kind: "structural-tag", text: JSON.stringify({ type: "structural_tag", format }) });

const call = (name: string) => ({
  begin: `<call>{"name": "${name}", "arguments": `,
  content: {
    type: "json_schema",
    json_schema: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] },
  },
  end: "}</call>",
});
const CALLS = { type: "triggered_tags", triggers: ["<call>"], tags: [call("add"), call("sub")] };
const ADD = '<call>{"name": "add", "arguments": {"n":3}}</call>';
const SUB = '<call>{"name": "sub", "arguments": {"n":-1}}</call>';

describe("triggered tags", () => {
  it("bind the text from a trigger on, and leave the rest free", () => {
    const grammar = tag(CALLS);
    for (const text of ["", "no call < here", `first ${ADD} then ${SUB} bye`, ADD + SUB, "<cal", "<<call"])
      expect(accepts(grammar, text), text).toBe(true);
    for (const text of [
      "<call>",
      "<call> x",
      `${ADD}<call>{"name": "mul"`,
      '<call>{"name": "add", "arguments": {}}</call>',
    ])
      expect(accepts(grammar, text), text).toBe(false);
  });

  it("may be demanded, and may end the answer", () => {
    const grammar = tag({ ...CALLS, at_least_one: true, stop_after_first: true });
    expect(accepts(grammar, `I call: ${ADD}`)).toBe(true);
    expect(accepts(grammar, "I do not call")).toBe(false);
    expect(accepts(grammar, `${ADD} and more`)).toBe(false);
  });
});

describe("other formats", () => {
  it("compose sequences, choices, constants, regular expressions, grammars and free text", () => {
    const grammar = tag({
      type: "sequence",
      elements: [
        { type: "tag", begin: "<think>", content: { type: "any_text" }, end: "</think>" },
        {
          type: "or",
          elements: [
            { type: "const_string", value: "yes" },
            { type: "regex", pattern: "no{1,3}" },
          ],
        },
        { type: "optional", content: { type: "grammar", grammar: 'root ::= "!" root | "."' } },
      ],
    });
    expect(accepts(grammar, "<think>a < b</think>yes")).toBe(true);
    expect(accepts(grammar, "<think></think>noo!!.")).toBe(true);
    expect(accepts(grammar, "<think>a</think>x</think>yes")).toBe(false);
    expect(accepts(grammar, "yes")).toBe(false);
  });

  it("separate several tags", () => {
    const tags = [{ begin: "[", content: { type: "json_schema", json_schema: { type: "integer" } }, end: "]" }];
    const grammar = tag({ type: "tags_with_separator", tags, separator: ", ", at_least_one: true });
    expect(accepts(grammar, "[1], [2]")).toBe(true);
    expect(accepts(grammar, "")).toBe(false);
    expect(accepts(grammar, "[1][2]")).toBe(false);
  });

  it("accept vLLM's older form", () => {
    const text = JSON.stringify({
      type: "structural_tag",
      structures: [{ begin: "<a>", schema: { type: "null" }, end: "</a>" }],
      triggers: ["<a"],
    });
    const grammar = automatonOf({ kind: "structural-tag", text });
    expect(accepts(grammar, "x <a>null</a> y")).toBe(true);
    expect(accepts(grammar, "x <a>1</a>")).toBe(false);
  });

  it.each([
    [{ type: "qwen_xml_parameter" }, 'format.type" is "qwen_xml_parameter"'],
    [{ type: "tag", begin: 1, content: { type: "any_text" }, end: "x" }, 'format.begin" must be a string'],
    [{ ...CALLS, triggers: ["<other>"] }, "No trigger"],
    [{ type: "json_schema", json_schema: { not: {} } }, '"not" at #'],
  ])("%j is refused with its place", (format, message) => {
    expect(() => tag(format)).toThrow(message);
  });
});

it("a mark that spells a special token is that token", () => {
  const special = Uint8Array.from([0xff, ...new TextEncoder().encode("[CALL]"), 0xff]);
  const vocabulary = vocabularyOf(
    [...["[", "C", "A", "L", "]", "x"].map((text) => new TextEncoder().encode(text)), special],
    ["[CALL]"],
  );
  const format = {
    type: "triggered_tags",
    triggers: ["[CALL]"],
    tags: [{ begin: "[CALL]", content: { type: "regex", pattern: "x" }, end: "" }],
  };
  const matcher = matcherOf({ kind: "structural-tag", text: JSON.stringify({ format }) }, vocabulary);
  for (const id of [0, 1, 2, 3, 3, 4]) expect(matcher.accept(id)).toBe(true); // spelled in letters it is text
  expect(allowedIds(matcher)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(matcher.accept(6)).toBe(true);
  expect(allowedIds(matcher)).toEqual([5]);
});
