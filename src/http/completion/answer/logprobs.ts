/** Log-probabilities in OpenAI's two formats. A token that is not whole text is written as its bytes. */
import type { Text } from "../../context.ts";
import type { TokenLogprob } from "../generation.ts";

/** Stands for a value that JSON cannot express (−∞ of a masked token), as in vLLM. */
const LOWEST = -9999;

/** `logprobs` of a completion: parallel lists with one entry for each token. */
export interface CompletionLogprobs {
  text_offset: number[];
  token_logprobs: (number | null)[];
  tokens: string[];
  top_logprobs: (Record<string, number> | null)[];
}

interface ChatToken {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

/** One entry of `logprobs.content` of a chat choice. */
export interface ChatLogprob extends ChatToken {
  readonly top_logprobs: readonly ChatToken[];
}

/** Empty lists, to which tokens are appended. */
export function emptyCompletionLogprobs(): CompletionLogprobs {
  return { text_offset: [], token_logprobs: [], tokens: [], top_logprobs: [] };
}

/** Appends a token. `logprob` null: the first token of a prompt. `offset`: characters of text before it. */
export function appendLogprob(
  lists: CompletionLogprobs,
  text: Text,
  id: number,
  logprob: TokenLogprob | null,
  offset: number,
): void {
  const token = completionToken(text.bytesOf(id));
  lists.text_offset.push(offset);
  lists.tokens.push(token);
  lists.token_logprobs.push(logprob === null ? null : finiteLogprob(logprob.logprob));
  if (logprob === null) return void lists.top_logprobs.push(null);
  const top = new Map<string, number>();
  logprob.topIds.forEach((topId, i) => {
    const name = completionToken(text.bytesOf(topId));
    // Of equal names, the likelier token counts.
    if (!top.has(name)) top.set(name, finiteLogprob(logprob.topLogprobs[i] ?? LOWEST));
  });
  if (!top.has(token)) top.set(token, finiteLogprob(logprob.logprob));
  lists.top_logprobs.push(Object.fromEntries(top));
}

/** The entry of a chat token. */
export function chatLogprob(text: Text, id: number, logprob: TokenLogprob): ChatLogprob {
  const entry = (tokenId: number, value: number): ChatToken => {
    const bytes = text.bytesOf(tokenId);
    return { token: wholeText(bytes) ?? escaped(bytes), logprob: finiteLogprob(value), bytes: [...bytes] };
  };
  const top = logprob.topIds.map((topId, i) => entry(topId, logprob.topLogprobs[i] ?? LOWEST));
  return { ...entry(id, logprob.logprob), top_logprobs: top };
}

/** Number of characters as Python counts them, the unit of OpenAI's offsets. */
export function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function completionToken(bytes: Uint8Array): string {
  return wholeText(bytes) ?? `bytes:${escaped(bytes)}`;
}

function wholeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined; // part of a character
  }
}

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/** A value that JSON can express. */
export function finiteLogprob(logprob: number): number {
  return Math.max(logprob, LOWEST);
}
