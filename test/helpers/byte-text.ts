/** A tokenizer for tests: bytes are ids, and the chat template is `<role>content` lines. */
import { AppError } from "../../src/errors.ts";
import type { Text } from "../../src/http/context.ts";
import type { ReasoningFormat } from "../../src/http/completion/answer-format/reasoning-format.ts";
import { findAnswerFormats } from "../../src/http/completion/answer-format/answer-formats.ts";
import { createTextStream } from "../../src/http/worker-text.ts";
import { END_ID } from "./engine/arithmetic-engine.ts";

export function byteText(start: readonly number[], reasoning: ReasoningFormat | null): Text {
  const bytesOf = (id: number) => (id === END_ID ? new TextEncoder().encode("</s>") : Uint8Array.of(id));
  return {
    encode: async (text, addsSpecial = true) =>
      Int32Array.from([...(addsSpecial ? start : []), ...new TextEncoder().encode(text)]),
    encodeChat: async ({
      messages,
      tools,
      kwargs,
      templateName,
      addsGenerationPrompt = true,
      continuesFinalMessage = false,
    }) => {
      const lines = (messages as { role: string; content: string }[]).map(({ role, content }) => `<${role}>${content}`);
      if (lines.some((line) => line.includes("refuse"))) throw new AppError("invalid_request", "The template refuses.");
      const shown = Object.keys(kwargs).length > 0 ? JSON.stringify(kwargs) : "";
      const end = addsGenerationPrompt ? "\n<assistant>" : continuesFinalMessage ? "" : "\n";
      const name = (templateName ?? null) === null ? "" : `[${templateName}]`;
      return Int32Array.from(
        new TextEncoder().encode(`${name}${tools ? "[tools]" : ""}${shown}${lines.join("\n")}${end}`),
      );
    },
    stream: ({ stop, includesStop, skipsSpecial }) => {
      const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
      const push = (id: number) => (id === END_ID && skipsSpecial ? "" : utf8.decode(bytesOf(id), { stream: true }));
      return createTextStream({ push, flush: () => utf8.decode() }, { stop, includesStop });
    },
    bytesOf,
    tokenOf: (id) => (id <= END_ID ? new TextDecoder().decode(bytesOf(id)) : undefined),
    decode: async (ids, { skipSpecialTokens }) =>
      new TextDecoder().decode(
        Buffer.concat(ids.flatMap((id) => (id === END_ID && skipSpecialTokens ? [] : [bytesOf(id)]))),
      ),
    info: { tokenizer_class: "PreTrainedTokenizerFast", eos_token: "</s>" },
    formats: { ...FORMATS, reasoning },
  };
}

/** Those of a template in the style of Qwen3, without its reasoning. */
const FORMATS = findAnswerFormats(
  new Map([
    ["default", "{{ tools }}<tool_call></tool_call>{{ enable_thinking }}{{ documents }}"],
    ["rag", "{{ documents }}"],
    ["plain", "{{ messages }}"],
  ]),
  { tokenToId: () => undefined, isSpecial: () => false },
  { toolCallParser: "auto", reasoningParser: "auto" },
);
