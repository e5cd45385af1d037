/** Where templates come from, what they are given, and what is checked before they see it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AppError } from "../../../src/errors.ts";
import type { ChatMessage } from "../../../src/tokenizer/chat/chat-message.ts";
import { findAbilities, loadChatTemplate, makeChatTemplate } from "../../../src/tokenizer/chat/chat-template.ts";
import { parseJinja } from "../../../src/jinja/jinja.ts";

const USER: ChatMessage[] = [{ role: "user", content: "hi" }];
const template = (source: string, special = {}) => makeChatTemplate(new Map([["default", source]]), special);

function failure(run: () => unknown): AppError {
  try {
    run();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("did not fail");
}

describe("loadChatTemplate", () => {
  let dir = "";
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "mosara-template-"));
    const model = { type: "BPE", vocab: { a: 0 }, merges: [] };
    await writeFile(join(dir, "tokenizer.json"), JSON.stringify({ model, added_tokens: [] }));
  });
  afterEach(() => rm(dir, { recursive: true }));
  const config = (value: unknown): Promise<void> =>
    writeFile(join(dir, "tokenizer_config.json"), JSON.stringify(value));

  it("takes the file before the configuration", async () => {
    await config({ chat_template: "config" });
    expect((await loadChatTemplate(dir))?.render(USER)).toBe("config");
    await writeFile(join(dir, "chat_template.jinja"), "file\n");
    expect((await loadChatTemplate(dir))?.render(USER)).toBe("file");
  });

  it("takes tool_use from a named list when there are tools, and default otherwise", async () => {
    await config({
      chat_template: [
        { name: "default", template: "D{{ tools is none }}" },
        { name: "tool_use", template: "T{{ tools | length }}" },
      ],
    });
    const loaded = await loadChatTemplate(dir);
    expect(loaded?.render(USER)).toBe("DTrue");
    expect(loaded?.render(USER, { tools: [] })).toBe("DTrue");
    expect(loaded?.render(USER, { tools: [{}] })).toBe("T1");
  });

  it("gives tools under the name xml_tools too, where the template has it", () => {
    const source = "{% if xml_tools %}{{ xml_tools | length }}{% else %}none{% endif %}";
    expect(template(source).render(USER)).toBe("none");
    expect(template(source).render(USER, { tools: [{}, {}] })).toBe("2");
    expect(template(source).render(USER, { tools: [{}, {}], kwargs: { xml_tools: [{}] } })).toBe("1");
  });

  it("passes the special tokens of the configuration, strings and objects", async () => {
    await config({
      bos_token: { content: "<s>" },
      eos_token: "</s>",
      pad_token: null,
      chat_template: "{{ bos_token }}{{ eos_token }}{{ pad_token }}",
    });
    expect((await loadChatTemplate(dir))?.render(USER)).toBe("<s></s>");
  });

  it("takes a map of names as it takes a list, and refuses what is neither", async () => {
    await config({ chat_template: { default: "D", tool_use: "T" } });
    const loaded = await loadChatTemplate(dir);
    expect(loaded?.render(USER)).toBe("D");
    expect(loaded?.render(USER, { tools: [{}] })).toBe("T");
    await config({ chat_template: [{ name: "default" }] });
    await expect(loadChatTemplate(dir)).rejects.toMatchObject({
      code: "checkpoint_invalid",
      message: expect.stringContaining("chat_template"),
    });
  });

  it("gives nothing for a model without a template", async () => {
    await config({});
    expect(await loadChatTemplate(dir)).toBeUndefined();
  });
});

describe("render", () => {
  it("passes kwargs, which may not replace the messages", () => {
    const source = "{{ enable_thinking }}|{{ add_generation_prompt }}|{{ documents }}";
    expect(template(source).render(USER, { kwargs: { enable_thinking: false } })).toBe("False|True|None");
    expect(template(source).render(USER, { addGenerationPrompt: false })).toBe("|False|None");
    expect(failure(() => template(source).render(USER, { kwargs: { messages: [] } })).details.param).toBe(
      "chat_template_kwargs",
    );
  });

  it("gives the template's own message as it is, and says what else went wrong", () => {
    expect(failure(() => template("{{ raise_exception('only once') }}").render(USER))).toMatchObject({
      code: "invalid_request",
      message: "only once",
    });
    expect(failure(() => template("{{ 'a' + 1 }}").render(USER)).message).toMatch(/cannot render.*concatenate/);
    expect(failure(() => template("{% if %}").render(USER)).code).toBe("invalid_request");
  });

  it("flattens parts for a template that takes only strings, and passes them to one that asks", () => {
    const messages: ChatMessage[] = [
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
    ];
    expect(template("{% for m in messages %}{{ '<' + m.content + '>' }}{% endfor %}").render(messages)).toBe("<a\nb>");
    expect(
      template(
        "{% for m in messages %}{% if m['content'] is string %}s{% else %}{{ m.content | length }}{% endif %}{% endfor %}",
      ).render(messages),
    ).toBe("2");
    const image: ChatMessage[] = [{ role: "user", content: [{ type: "image_url", image_url: {} }] }];
    expect(failure(() => template("{{ messages[0].content + '' }}").render(image)).details.param).toBe(
      "messages[0].content[0]",
    );
  });

  it("gives a tool call's arguments as an object unless the template asks whether they are text", () => {
    const messages: ChatMessage[] = [
      { role: "assistant", content: null, tool_calls: [{ function: { name: "f", arguments: '{"a":1}' } }] },
    ];
    const call = "messages[0].tool_calls[0].function.arguments";
    expect(template(`{{ ${call} | tojson }}`).render(messages)).toBe('{"a": 1}');
    expect(template(`{{ ${call} if ${call} is string else '' }}`).render(messages)).toBe('{"a":1}');
  });

  it.each([
    ["no messages", [], "messages"],
    ["a content that is an object", [{ role: "user", content: { a: 1 } }], "messages[0].content"],
    ["a content that is a number", [{ role: "user", content: 1 }], "messages[0].content"],
    ["a part without a type", [{ role: "user", content: [{}] }], "messages[0].content[0]"],
    ["a text part without text", [{ role: "user", content: [{ type: "text" }] }], "messages[0].content[0].text"],
    ["a role with a tag in it", [{ role: "user<|x|>", content: "" }], "messages[0].role"],
  ])("refuses %s and names it", (_, messages, param) => {
    const error = failure(() => template("{{ messages }}").render(messages as unknown as ChatMessage[]));
    expect(error).toMatchObject({ code: "invalid_request", details: { param } });
  });

  it.each([
    [
      "loops for ever",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      /does not end/,
    ],
    ["builds gigabytes", "{{ 'abcdefgh' * 1000000000 }}", /too much/],
    [
      "doubles a string",
      "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
      /too much/,
    ],
    ["calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /recursion/],
    ["is nested without end", `{{ ${"(".repeat(5000)}1${")".repeat(5000)} }}`, /nested/],
  ])("stops a template that %s", (_, source, message) => {
    expect(failure(() => template(source).render(USER))).toMatchObject({
      code: "invalid_request",
      message: expect.stringMatching(message),
    });
  });
});

describe("findAbilities", () => {
  it.each([
    ["{% if m.content is string %}{% endif %}", true],
    ["{% for p in m['content'] %}{% endfor %}", true],
    ["{% macro f(content) %}{{ 1 if content is iterable }}{% endmacro %}", true],
    ["{{ m.content | selectattr('type', 'equalto', 'text') }}", true],
    ["{{ m.content | trim }}", false],
  ])("%s takes parts: %s", (source, takesParts) => {
    expect(findAbilities(parseJinja(source)).takesParts).toBe(takesParts);
  });
});
