/** A conversation's prompt, a text's ids and the end token of a checkpoint's own tokenizer and template. */
import { expect } from "vitest";
import type { ChatMessage } from "../../../src/tokenizer/chat/chat-message.ts";
import { loadChatTemplate } from "../../../src/tokenizer/chat/chat-template.ts";
import { encodeChat, renderChat } from "../../../src/tokenizer/chat/chat.ts";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.ts";
import { type CheckpointSpec, writeCaseCheckpoint } from "../models/case-checkpoint.ts";

interface PromptCase {
  readonly checkpoint: CheckpointSpec;
  readonly ask: {
    readonly messages?: readonly ChatMessage[];
    readonly tools?: readonly unknown[];
    readonly text?: string;
  };
  readonly right: {
    readonly prompt?: string;
    readonly promptIds?: readonly number[];
    readonly ids?: readonly number[];
    readonly eos: string | null;
  };
}

export async function check(value: unknown): Promise<void> {
  const { checkpoint, ask, right } = value as PromptCase;
  const dir = writeCaseCheckpoint(checkpoint);
  const tokenizer = await loadTokenizer(dir);
  const template = await loadChatTemplate(dir);
  expect(tokenizer.eosToken ?? null).toBe(right.eos);
  if (ask.text !== undefined) expect(tokenizer.encode(ask.text)).toEqual(right.ids);
  if (ask.messages === undefined) return;
  const options = { tools: ask.tools };
  expect(renderChat(tokenizer, template, ask.messages, options).text).toBe(right.prompt);
  expect(encodeChat(tokenizer, template, ask.messages, options)).toEqual(right.promptIds);
}
