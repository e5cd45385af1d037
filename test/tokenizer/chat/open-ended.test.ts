/** Prompts that end with their last message, compared with transformers' `continue_final_message`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { ChatMessage } from "../../../src/tokenizer/chat/chat-message.ts";
import { makeChatTemplate } from "../../../src/tokenizer/chat/chat-template.ts";

interface Case {
  readonly template: string;
  readonly messages: readonly ChatMessage[];
  readonly expected?: string;
  readonly error?: string;
}

const HERE = fileURLToPath(new URL(".", import.meta.url));
const { now, cases } = JSON.parse(readFileSync(join(HERE, "../../golden-more/text/open-ended.json"), "utf8")) as {
  now: string;
  cases: Case[];
};
const special = { bos_token: "<s>", eos_token: "</s>" };
const templateOf = (name: string) =>
  makeChatTemplate(
    new Map([
      ["default", readFileSync(join(HERE, "../../golden/text/chat-templates", name, "template.jinja"), "utf8")],
    ]),
    special,
  );
const options = { continueFinalMessage: true, addGenerationPrompt: false };

/** Templates print the date; transformers' were rendered with the clock at `now`. */
beforeAll(() => {
  vi.useFakeTimers({ now: new Date(now), toFake: ["Date"] });
});
afterAll(() => {
  vi.useRealTimers();
});

describe("a prompt that ends with its last message", () => {
  it.each(cases.map((one, i) => [i, one.template, one] as const))(
    "%i %s is transformers'",
    (_, name, { messages, expected }) => {
      const render = () => templateOf(name).render(messages, options);
      if (expected === undefined) expect(render).toThrow(expect.objectContaining({ code: "invalid_request" }) as Error);
      else expect(render()).toBe(expected);
    },
  );

  it("joins parts where the template takes text alone", () => {
    const parts = [
      { type: "text", text: "One part" },
      { type: "text", text: "and then " },
    ];
    const messages = [
      { role: "user", content: "Hello" },
      { role: "assistant", content: parts },
    ];
    expect(templateOf("chatml").render(messages, options)).toMatch(/One part\nand then $/);
  });

  it.each([
    ["has no text", "{% for m in messages %}{{ m.content }}{% endfor %}", null],
    ["is not shown", "{{ messages[0].content }}", "more"],
    ["is shown differently", "{% for m in messages %}{{ m.content | upper }}{% endfor %}", "more"],
  ])("is refused where the last message %s", (_, source, content) => {
    const messages = [
      { role: "user", content: "Hello" },
      { role: "assistant", content },
    ];
    const template = makeChatTemplate(new Map([["default", source]]), {});
    expect(() => template.render(messages, options)).toThrow(
      expect.objectContaining({ code: "invalid_request", details: { param: "continue_final_message" } }) as Error,
    );
  });

  it("lets the field of the request win over chat_template_kwargs", () => {
    const template = makeChatTemplate(new Map([["default", "{{ add_generation_prompt }}"]]), {});
    const kwargs = { add_generation_prompt: true };
    expect(template.render([{ role: "user", content: "x" }], { addGenerationPrompt: false, kwargs })).toBe("False");
    expect(template.render([{ role: "user", content: "x" }], { kwargs: { add_generation_prompt: false } })).toBe(
      "False",
    );
  });
});
