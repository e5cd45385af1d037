/** Flags of speculation: several tokens of one answer are guessed, and checked in one run. */
import type { Flags } from "../flag.ts";
import { integer, optional, text } from "../values.ts";

export const SPECULATION = {
  speculativeTokens: {
    value: "<n>",
    help: "Maximum number of tokens of an answer that are guessed and computed in one run. Guesses are text that a grammar forces, and text that repeats the prompt or the answer. Faster for one client, slower for many. 0 gives each token a step of its own.",
    schema: integer(0, 64).default(0),
  },
  draftModel: {
    value: "<dir>",
    help: "Smaller model of the same tokens that guesses where text does not: base directory, checkpoint, GGUF file or a model of the Hub. Needs --speculative-tokens and --device cpu. Its keys and values take a part of --kv-cache-bytes.",
    defaultText: "only text is guessed from",
    schema: optional(text),
  },
} satisfies Flags;
