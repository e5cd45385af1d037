/**
 * The text side of the routes, over a text worker: encoding, chat templates, stop strings on decoded streams, bytes of
 * tokens.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ChatMessage } from "../tokenizer/chat/chat-message.ts";
import { StopStrings } from "../tokenizer/stop-strings.ts";
import { byteLevelBytes } from "../tokenizer/stream-decoder.ts";
import type { StreamDecoder, Tokenizer } from "../tokenizer/tokenizer.ts";
import type { TextWorker } from "../tokenizer/worker/text-worker-client.ts";
import type { Text, TextDelta, TextStream, TextStreamOptions } from "./context.ts";

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** Number of ids that are decoded in one turn of the event loop. */
const DECODED_AT_ONCE = 4096;

/** The worker as the routes see it. @param info the tokenizer's configuration (`tokenizer/files/tokenizer-info.ts`) */
export function textOf(worker: TextWorker, info: Text["info"], formats: Text["formats"]): Text {
  const { tokenizer } = worker;
  const bytes = new Map<number, Uint8Array>();
  const anchor = findAnchor(tokenizer);
  return {
    encode: async (text, addSpecialTokens = true) => Int32Array.from(await worker.encode(text, { addSpecialTokens })),
    encodeChat: async ({ messages, tools, kwargs, templateName, addsGenerationPrompt, continuesFinalMessage }) =>
      Int32Array.from(
        await worker.encodeChat(messages as readonly ChatMessage[], {
          tools: tools ?? undefined,
          kwargs,
          templateName: templateName ?? undefined,
          addGenerationPrompt: addsGenerationPrompt,
          continueFinalMessage: continuesFinalMessage,
        }),
      ),
    stream: (options) =>
      createTextStream(
        tokenizer.createStreamDecoder({ skipSpecialTokens: options.skipsSpecial, keptIds: options.keptIds }),
        options,
      ),
    bytesOf: (id) => {
      const known = bytes.get(id) ?? bytesOfToken(tokenizer, anchor, id);
      bytes.set(id, known); // bounded by the vocabulary
      return known;
    },
    tokenOf: (id) => tokenizer.idToToken(id),
    decode: (ids, options) => decode(tokenizer, ids, options),
    info,
    formats,
  };
}

/** Decodes a list of any length and lets streams run meanwhile. */
async function decode(
  tokenizer: Tokenizer,
  ids: readonly number[],
  options: { readonly skipSpecialTokens: boolean },
): Promise<string> {
  const decoder = tokenizer.createStreamDecoder(options);
  let text = "";
  for (let at = 0; at < ids.length; at += DECODED_AT_ONCE) {
    if (at > 0) await nextTurn();
    for (const id of ids.slice(at, at + DECODED_AT_ONCE)) text += decoder.push(id);
  }
  return text + decoder.flush();
}

/** A decoder whose text is watched for stop strings. */
export function createTextStream(
  decoder: StreamDecoder,
  { stop, includesStop }: Pick<TextStreamOptions, "stop" | "includesStop">,
): TextStream {
  const stops = new StopStrings(stop);
  const watch = (text: string, mayStop: boolean): TextDelta => {
    const result = stops.push(text, mayStop);
    const end = includesStop ? (result.stop ?? "") : "";
    return { text: result.text + end, isStopped: result.stop !== undefined, stop: result.stop };
  };
  return {
    push: (id, mayStop) => watch(decoder.push(id), mayStop),
    flush: (mayStop) => {
      const last = watch(decoder.flush(), mayStop);
      return last.isStopped ? last : { text: last.text + stops.flush(), isStopped: false };
    },
  };
}

/**
 * A token whose text is whole. Some decoders treat the first token specially. A token that is decoded after this one is
 * not the first.
 */
function findAnchor(tokenizer: Tokenizer): number | undefined {
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    if (tokenizer.isSpecial(id) || BYTE_TOKEN.test(tokenizer.idToToken(id) ?? "")) continue;
    const text = tokenizer.decode([id]);
    if (text.trim() !== "" && !text.includes("\ufffd")) return id;
  }
  return undefined;
}

function bytesOfToken(tokenizer: Tokenizer, anchor: number | undefined, id: number): Uint8Array {
  const token = tokenizer.idToToken(id);
  if (token === undefined) return new Uint8Array();
  const decoder = tokenizer.createStreamDecoder({ skipSpecialTokens: false });
  if (anchor !== undefined) decoder.push(anchor);
  const text = decoder.push(id) + decoder.flush();
  if (!text.includes("\ufffd")) return new TextEncoder().encode(text);
  const hex = BYTE_TOKEN.exec(token)?.[1];
  return hex === undefined ? byteLevelBytes(token) : Uint8Array.of(Number.parseInt(hex, 16));
}
