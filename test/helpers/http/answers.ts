/** What the arithmetic engine answers to a chat, and what it was asked. */
import type { Text } from "../../../src/http/context.ts";
import { END_ID, expectedIds } from "../engine/arithmetic-engine.ts";
import type { TestApp } from "../http-app.ts";

/** The greedy answer of the base to this prompt. */
export function answerTo(prompt: string, maxTokens: number): string {
  const promptIds = Int32Array.from(new TextEncoder().encode(prompt));
  const sampling = { temperature: 0, seed: 0 };
  const ids = expectedIds({ promptIds, adapter: null, maxTokens, stopIds: [END_ID], sampling });
  return new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id !== END_ID)));
}

/** Every conversation that the template gets from now on, newest last. */
export function recordChats({ context: { text } }: TestApp): Parameters<Text["encodeChat"]>[0][] {
  const encodeChat = text.encodeChat.bind(text);
  const seen: Parameters<Text["encodeChat"]>[0][] = [];
  text.encodeChat = (prompt) => {
    seen.push(prompt);
    return encodeChat(prompt);
  };
  return seen;
}
