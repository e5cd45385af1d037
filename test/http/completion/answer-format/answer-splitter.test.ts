/**
 * Text, reasoning and calls in the text of an answer: turns that real templates write, cut anywhere, and what only
 * looks like a call.
 */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findAnswerFormats } from "../../../../src/http/completion/answer-format/answer-formats.ts";
import { AnswerSplitter, type SplitterOptions } from "../../../../src/http/completion/answer-format/answer-splitter.ts";
import { callFormatOf } from "../../../../src/http/completion/answer-format/call-format.ts";
import { reasoningFormatOf, reasoningStart } from "../../../../src/http/completion/answer-format/reasoning-format.ts";
import type { AnswerPart } from "../../../../src/http/completion/answer/answer-part.ts";
import { readJson } from "../../../helpers/fixtures.ts";

interface Turns {
  readonly cases: Readonly<Record<string, Message>>;
  readonly templates: readonly {
    readonly template: string;
    readonly calls: string | null;
    readonly marks: readonly string[];
    readonly tools: boolean;
    readonly turns: Readonly<Record<string, { readonly promptEnd: string; readonly text: string }>>;
  }[];
}

interface Message {
  readonly content: string;
  readonly tool_calls?: readonly { readonly function: { readonly name: string; readonly arguments: object } }[];
}

const { cases, templates } = readJson<Turns>(
  import.meta.dirname,
  "..",
  "..",
  "..",
  "golden",
  "answer-formats",
  "turns.json",
);
const VOCABULARY = { tokenToId: () => undefined, isSpecial: () => false };
const FLAGS = { toolCallParser: "auto", reasoningParser: "auto" };
const END = /(<\|im_end\|>|<\|eot_id\|>|<\/s>|<\|end_of_text\|>|<end_of_turn>)\n?$/;

interface Whole {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
}

function whole(parts: readonly AnswerPart[]): Whole {
  const calls: { id: string; name: string; arguments: string }[] = [];
  let [text, reasoning] = ["", ""];
  for (const part of parts) {
    if (part.type === "text") text += part.text;
    else if (part.type === "reasoning") reasoning += part.text;
    else if (part.type === "tool-call") calls[part.index] = { id: part.id, name: part.name, arguments: "" };
    else calls[part.index]!.arguments += part.text; // the call has begun
  }
  return { text, reasoning, calls };
}

const PLAIN: SplitterOptions = { calls: null, toolNames: new Set(), isParallel: true, reasoning: null, start: "none" };

function split(pieces: readonly string[], options: Partial<SplitterOptions>): Whole {
  const splitter = new AnswerSplitter({ ...PLAIN, ...options });
  return whole([...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()]);
}

/** The text whole, character by character, and cut in two at every place. */
function ways(text: string): readonly (readonly string[])[] {
  const characters = [...text];
  const cuts = characters.map((_, i) => [characters.slice(0, i).join(""), characters.slice(i).join("")]);
  return [[text], characters, ...cuts];
}

const withoutIds = ({ calls, ...rest }: Whole) => ({
  ...rest,
  calls: calls.map(({ name, arguments: text }) => ({ name, arguments: text })),
});

describe.each(templates)("a turn of $template", ({ calls, marks, tools, turns }) => {
  const source = [...marks, ...(tools ? ["{{ tools }} name"] : [])].join(" ");
  const formats = findAnswerFormats(new Map([["default", source]]), VOCABULARY, FLAGS);

  it("has its format found from the template", () => {
    expect(formats.calls?.name ?? null).toBe(calls);
    expect(formats.takesTools).toBe(tools);
    expect(formats.reasoning !== null).toBe(marks.some((mark) => /THINK|think>/.test(mark)));
  });

  it.each(Object.entries(turns))("is read back, however it is cut: %s", (name, { text: turn }) => {
    const message = cases[name];
    const written = turn.replace(END, "");
    const asked = calls === null ? [] : (message?.tool_calls ?? []);
    const options = {
      ...formats,
      toolNames: new Set(["weather", "time_of"]),
      isParallel: true,
      start: "none",
    } as const;
    for (const pieces of ways(written)) {
      const found = split(pieces, options);
      expect(found.calls.map((call) => [call.name, JSON.parse(call.arguments)])).toEqual(
        asked.map(({ function: call }) => [call.name, call.arguments]),
      );
      // Some templates leave out the text before a call.
      expect(asked.length > 0 ? ["", message?.content] : [message?.content]).toContain(found.text);
      expect(new Set(found.calls.map(({ id }) => id)).size).toBe(found.calls.length);
    }
  });
});

const hermes = { calls: callFormatOf("hermes"), toolNames: new Set(["f", "g"]) };
const block = (json: string): string => `<tool_call>\n${json}\n</tool_call>`;

describe("what only looks like a call", () => {
  it.each([
    ["an unknown tool", block('{"name": "h", "arguments": {}}')],
    ["no JSON", block("call f please")],
    ["no name", block('{"arguments": {}}')],
    ["arguments twice, before a name", block('{"arguments": {}, "arguments": {}, "name": "f"}')],
    ["a name that is no string", block('{"name": 3, "arguments": {}}')],
    ["a call that is never finished", '<tool_call>\n{"name": "'],
    ["a mark alone", "<tool_call>"],
    ["half a mark", "a < b <tool_ca"],
  ])("stays text: %s", (_, text) => {
    for (const pieces of ways(text)) expect(split(pieces, hermes)).toEqual({ text, reasoning: "", calls: [] });
  });

  it("is text without tools", () => {
    const text = block('{"name": "f", "arguments": {}}');
    for (const pieces of ways(text)) expect(split(pieces, {}).text).toBe(text);
  });

  it("stays text beside a call that is one", () => {
    const text = `One ${block('{"name": "f", "arguments": {"a": 1}}')} and ${block('{"name": "h"}')}.`;
    for (const pieces of ways(text))
      expect(withoutIds(split(pieces, hermes))).toEqual({
        text: `One and ${block('{"name": "h"}')}.`,
        reasoning: "",
        calls: [{ name: "f", arguments: '{"a": 1}' }],
      });
  });
});

describe("a call", () => {
  it.each([
    ["arguments before the name", '{"arguments": {"a": [1, "}"]}, "name": "f"}', '{"a": [1, "}"]}'],
    ["arguments as JSON text", '{"name": "f", "arguments": "{\\"a\\": 1}"}', '{"a": 1}'],
    ["no arguments", '{"name": "f"}', "{}"],
    ["an id", '{"id": "x", "name": "f", "arguments": {"a": 1}}', '{"a": 1}'],
    ["escapes", '{"name": "f", "arguments": {"a": "\\"\\\\"}}', '{"a": "\\"\\\\"}'],
  ])("may have %s", (_, json, wanted) => {
    for (const pieces of ways(block(json)))
      expect(split(pieces, hermes).calls).toMatchObject([{ name: "f", arguments: wanted }]);
  });

  it("is streamed as it is written", () => {
    const splitter = new AnswerSplitter({ ...PLAIN, ...hermes });
    expect(splitter.push('<tool_call>\n{"name": "f", "arg')).toMatchObject([
      { type: "tool-call", index: 0, name: "f" },
    ]);
    expect(splitter.push('uments": {"a')).toEqual([{ type: "tool-arguments", index: 0, text: '{"a' }]);
    expect(splitter.push('": 1}')).toEqual([{ type: "tool-arguments", index: 0, text: '": 1}' }]);
    expect(splitter.push("}\n</tool_call>")).toEqual([]);
    expect(splitter.hasCalls).toBe(true);
  });

  it("is the only one where calls are not parallel", () => {
    const text = `${block('{"name": "f", "arguments": {}}')}\n${block('{"name": "g", "arguments": {}}')}`;
    for (const pieces of ways(text))
      expect(split(pieces, { ...hermes, isParallel: false }).calls).toMatchObject([{ name: "f" }]);
  });

  it("needs no mark in the format of Llama 3, and other JSON stays text", () => {
    const llama = { ...hermes, calls: callFormatOf("llama3_json") };
    const two = '<|python_tag|>{"name": "f", "parameters": {"a": 1}}; {"name": "g", "parameters": {}}';
    for (const pieces of ways(two)) expect(split(pieces, llama).calls).toMatchObject([{ name: "f" }, { name: "g" }]);
    for (const text of ['{"answer": 42}', 'It is {"name": "f"}', "{", ""])
      for (const pieces of ways(text)) expect(split(pieces, llama)).toEqual({ text, reasoning: "", calls: [] });
  });
});

describe("reasoning", () => {
  const think = { reasoning: reasoningFormatOf("think") };

  it.each([
    ["at the start", "<think>\nSo\n it is.\n</think>\n\nYes.", "none", "So\n it is.", "Yes."],
    ["opened by the prompt", "So it is.\n</think>\n\nYes.", "open", "So it is.", "Yes."],
    ["that never ends", "<think>\nSo it", "none", "So it", ""],
    ["empty", "<think>\n\n</think>\n\nYes.", "none", "", "Yes."],
    ["closed by the prompt", "<think>x</think>", "closed", "", "<think>x</think>"],
    ["in the middle", "Yes <think>no</think>", "none", "", "Yes <think>no</think>"],
  ] as const)("%s", (_, text, start, reasoning, answer) => {
    for (const pieces of ways(text))
      expect(split(pieces, { ...think, start })).toEqual({ text: answer, reasoning, calls: [] });
  });

  it("may be followed by a call", () => {
    const text = `<think>\nI ask f.\n</think>\n\n${block('{"name": "f", "arguments": {}}')}`;
    for (const pieces of ways(text))
      expect(withoutIds(split(pieces, { ...hermes, ...think }))).toEqual({
        text: "",
        reasoning: "I ask f.",
        calls: [{ name: "f", arguments: "{}" }],
      });
  });

  it("begins where the prompt has left it", () => {
    const { reasoning } = think;
    expect(reasoningStart("<|im_start|>assistant\n<think>\n", reasoning)).toBe("open");
    expect(reasoningStart("assistant\n<think>\n\n</think>\n\n", reasoning)).toBe("closed");
    expect(reasoningStart("<|im_start|>assistant\n", reasoning)).toBe("none");
  });
});

it("loses no text and depends on no cut, whatever is written", () => {
  const piece = fc.constantFrom(
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "{",
    "}",
    '"',
    '"name"',
    ":",
    '"f"',
    " ",
    "\n",
    "a",
    "<",
    ",",
    "\\",
  );
  const options = { ...hermes, reasoning: reasoningFormatOf("think") };
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 24 }), (pieces) => {
      const expected = withoutIds(split([pieces.join("")], options));
      expect(withoutIds(split(pieces, options))).toEqual(expected);
      expect(withoutIds(split([...pieces.join("")], options))).toEqual(expected);
    }),
    { numRuns: 3000 },
  );
});
