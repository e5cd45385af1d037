import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseExample } from "../../src/data/examples.ts";
import { AppError } from "../../src/errors.ts";

const failure = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe("a line of data", () => {
  const parse = (value: unknown) => parseExample(JSON.stringify(value), "a.jsonl", 7);

  it("is a prompt with a completion, references or an answer, or a conversation", () => {
    expect(parse({ prompt: "p", completion: "c", extra: 1 })).toEqual({
      form: "prompt",
      prompt: "p",
      completion: "c",
      references: null,
      answer: null,
      answerKind: null,
      file: "a.jsonl",
      line: 7,
    });
    expect(parse({ prompt: "p", references: ["a", "b"] })).toMatchObject({ references: ["a", "b"], completion: null });
    expect(parse({ prompt: "p", answer: "4", kind: "number" })).toMatchObject({ answer: "4", answerKind: "number" });
    expect(parse({ prompt: "p", answer: 4 })).toMatchObject({ answer: "4", answerKind: null });
    const messages = [
      { role: "user", content: "q" },
      { role: "assistant", content: null, tool_calls: [] },
    ];
    const learnt = { isLearnt: [false, true], tools: null, templateKwargs: null };
    const expected = { references: null, answer: null, answerKind: null, hasCompletion: true };
    expect(parse({ messages })).toEqual({
      form: "messages",
      messages,
      ...learnt,
      ...expected,
      file: "a.jsonl",
      line: 7,
    });
  });

  it("asks a conversation a question that has references or an answer", () => {
    const question = { role: "user", content: "q" };
    const asked = (text: string) => [question, { role: "assistant", content: text }];
    for (const key of ["prompt", "messages"]) {
      expect(parse({ [key]: [question], references: ["a", "b"] })).toMatchObject({
        form: "messages",
        messages: asked("a"),
        isLearnt: [false, true],
        references: ["a", "b"],
        hasCompletion: false,
      });
      expect(parse({ [key]: [question], answer: 4, kind: "number" })).toMatchObject({
        messages: asked("4"),
        answer: "4",
        answerKind: "number",
        hasCompletion: false,
      });
    }
    const answered = asked("a long solution, so 4");
    expect(parse({ messages: answered, answer: 4 })).toMatchObject({
      messages: answered,
      hasCompletion: true,
      answer: "4",
    });
  });

  it("may say of itself what changes nothing", () => {
    const about = { id: 1, source: "x", category: "weather", label: "class-3", weight: 1, split: "a", loss: null };
    expect(parse({ prompt: "p", completion: "c", ...about })).toMatchObject({ prompt: "p", completion: "c" });
  });

  it("keeps the numbers of tools and calls as Python reads them", () => {
    const text = '{"messages":[{"role":"assistant","content":"a"}],"tools":[{"n":1.0}]}';
    expect(parseExample(text, "a.jsonl", 1)).toMatchObject({ tools: [{ n: new Number(1) }] });
  });

  it("takes an empty prompt and an empty completion", () => {
    expect(parse({ prompt: "", completion: "" })).toMatchObject({ prompt: "", completion: "" });
  });

  it.each([
    ["no JSON", "{prompt", /is not valid JSON/],
    ["a list", "[1]", /an object was expected, found \[1\]/],
    ["null", "null", /an object was expected, found null/],
    ["no prompt", '{"completion":"c"}', /"prompt" or "messages" is missing/],
    ["no completion", '{"prompt":"p"}', /"completion" is missing/],
    ["a null completion", '{"prompt":"p","completion":null}', /"completion" is missing/],
    ["a prompt that is no string", '{"prompt":3,"completion":"c"}', /"prompt" should be a string, found 3/],
    ["a completion that is no string", '{"prompt":"p","completion":["c"]}', /"completion" should be a string/],
    ["no references", '{"prompt":"p","references":[]}', /"references" should be a list/],
    ["a reference that is no string", '{"prompt":"p","references":["a",1]}', /"references" should be a list/],
    ["an answer that is no string", '{"prompt":"p","answer":true}', /"answer" should be a string, found true/],
    ["an unknown kind", '{"prompt":"p","answer":"a","kind":"x"}', /"kind" should be one of number, letter/],
    ["prompt and messages", '{"prompt":"p","messages":[]}', /both "prompt" and "messages"/],
    ["no messages", '{"messages":[]}', /"messages" should be a list/],
    ["a message that is none", '{"messages":[3]}', /messages\[0\] should be an object/],
    ["a message without a role", '{"messages":[{"content":"a"}]}', /messages\[0\] should be an object/],
    ["a message without content", '{"messages":[{"role":"assistant"}]}', /messages\[0\].content should be a string/],
    ["a null content", '{"messages":[{"role":"assistant","content":null}]}', /content should be a string, found null/],
    [
      "a weight of 2",
      '{"messages":[{"role":"assistant","content":"a","weight":2}]}',
      /messages\[0\].weight should be 0/,
    ],
    [
      "a weight of 1 on a question",
      '{"messages":[{"role":"user","content":"a","weight":1},{"role":"assistant","content":"b"}]}',
      /only turns of the assistant are learnt/,
    ],
    ["an unknown speaker", '{"conversations":[{"from":"alien","value":"a"}]}', /from should be one of human, user/],
    ["a call that is no JSON", '{"conversations":[{"from":"function_call","value":"f("}]}', /the JSON of a call/],
    ["tools that are no list", '{"messages":[{"role":"assistant","content":"a"}],"tools":"f"}', /"tools" is text/],
    ["tools beside text", '{"prompt":"p","completion":"c","tools":[{}]}', /"tools" is for conversations/],
    [
      "variables that are no object",
      '{"messages":[{"role":"assistant","content":"a"}],"chat_template_kwargs":[1]}',
      /an object/,
    ],
    [
      "a variable of ours",
      '{"messages":[{"role":"assistant","content":"a"}],"chat_template_kwargs":{"add_generation_prompt":true}}',
      /cannot set "add_generation_prompt"/,
    ],
    ["a list and a text", '{"prompt":[{"role":"user","content":"a"}],"completion":"c"}', /Write both as lists/],
    ["an instruction without output", '{"instruction":"i"}', /"output" is missing/],
    ["two forms", '{"instruction":"i","output":"o","messages":[]}', /both "messages" and "instruction"/],
    ["two system prompts", '{"system":"s","messages":[{"role":"system","content":"t"}]}', /Keep one of them/],
    ["running text", '{"text":"t"}', /--method full/],
    ["keys of no form", '{"question":"q","response":"r"}', /the line has \["question","response"\]/],
    [
      "a label of a preference",
      '{"prompt":"p","completion":"c","label":false}',
      /Preferences are learnt as pairs, with --objective dpo/,
    ],
    ["a weight of the line", '{"prompt":"p","completion":"c","weight":0.5}', /"weight" changes what is learnt/],
    ["a key in camel case", '{"prompt":"p","completion":"c","lossMask":[1]}', /"lossMask" changes what is learnt/],
    ["images", '{"prompt":"p","completion":"c","images":["a.png"]}', /"images" changes what is learnt/],
    ["a list without completion", '{"prompt":[{"role":"user","content":"a"}]}', /"references" or "answer" will do/],
    ["no assistant", '{"messages":[{"role":"user","content":"a"}]}', /nothing to learn/],
    ["a key that is there twice", '{"prompt":"p","prompt":"q","completion":"c"}', /"prompt" is there twice/],
    [
      "a completion beside messages",
      '{"messages":[{"role":"assistant","content":"a"}],"completion":"c"}',
      /beside "messages"/,
    ],
    ["a completion beside an instruction", '{"instruction":"i","output":"o","completion":"c"}', /beside "instruction"/],
    [
      "a history beside a conversation",
      '{"conversations":[{"from":"gpt","value":"a"}],"history":[]}',
      /"history" beside/,
    ],
    ["tools that are lists", '{"messages":[{"role":"assistant","content":"a"}],"tools":[[]]}', /list of objects/],
    ["text under another key", '{"messages":[{"role":"assistant","value":"a"}]}', /under "value", which is not read/],
    [
      "a question without text",
      '{"messages":[{"role":"user","name":"n"},{"role":"assistant","content":"a"}]}',
      /messages\[0\].content/,
    ],
    [
      "an image as a part",
      '{"messages":[{"role":"assistant","content":[{"type":"image"}]}]}',
      /content\[0\].type should be "text"/,
    ],
    [
      "a tag of unpaired preferences",
      '{"messages":[{"role":"assistant","content":"a"}],"kto_tag":false}',
      /"kto_tag" changes/,
    ],
    [
      "a system message of the line",
      '{"messages":[{"role":"assistant","content":"a"}],"system_message":"s"}',
      /"system_message" changes/,
    ],
    [
      "files of a message",
      '{"messages":[{"role":"assistant","content":"a","files":["b"]}]}',
      /"messages\[0\].files" changes/,
    ],
    [
      "an image beside a part's text",
      '{"messages":[{"role":"assistant","content":[{"type":"text","text":"a","image_url":"b"}]}]}',
      /content\[0\].image_url" changes/,
    ],
    [
      "a weight of a part",
      '{"messages":[{"role":"assistant","content":[{"type":"text","text":"a","weight":0}]}]}',
      /content\[0\].weight" changes/,
    ],
    [
      "a part without text",
      '{"messages":[{"role":"assistant","content":[{"type":"text","content":"a"}]}]}',
      /content\[0\].text should be a string, found nothing/,
    ],
    [
      "a context beside an instruction",
      '{"instruction":"i","context":"c","output":"o"}',
      /"context" beside "instruction"/,
    ],
    [
      "a turn to be ignored",
      '{"messages":[{"role":"assistant","content":"a","ignore":true}]}',
      /"messages\[0\].ignore" changes/,
    ],
  ])("with %s is refused with file, line and reason", (_, text, reason) => {
    expect(() => parseExample(text, "some/a.jsonl", 12)).toThrow(failure("data_invalid", /^some\/a\.jsonl, line 12: /));
    expect(() => parseExample(text, "some/a.jsonl", 12)).toThrow(failure("data_invalid", reason));
  });

  it("never fails in any other way, whatever it holds", () => {
    const key = fc.constantFrom("prompt", "completion", "references", "answer", "kind", "messages", "role", "content");
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom("assistant", "user", "number", 1, null, true),
        fc.array(tie("any"), { maxLength: 3 }),
        fc.dictionary(key, tie("any"), { maxKeys: 4 }),
      ),
    })).any;
    fc.assert(
      fc.property(
        fc.oneof(
          value.map((v) => JSON.stringify(v)),
          fc.string(),
        ),
        (text) => {
          try {
            parseExample(text, "f", 1);
          } catch (error) {
            expect(error).toBeInstanceOf(AppError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
