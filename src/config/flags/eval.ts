/** Flags of `mosara eval`. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { text, integer, optional } from "../values.ts";
import { SERVE } from "./serve.ts";
import { COMPUTE, MODEL, seed } from "./shared.ts";

export const EVAL = {
  model: MODEL,
  adapter: {
    value: "<file>",
    help: "The .mosara file to measure beside the base.",
    defaultText: "the base alone",
    schema: optional(text),
  },
  data: {
    value: "<file.jsonl>",
    help: "Examples, one JSON object a line. Repeatable.",
    isRepeatable: true,
    schema: z.array(text).min(1, "must name a file"),
  },
  metric: {
    value: "<metric>",
    help: "loss (nats a token of the completion), exact, contains, number, choice (shares of right answers) or bleu (0 to 100).",
    schema: z.enum(["loss", "exact", "contains", "number", "choice", "bleu"]),
  },
  limit: { value: "<n>", help: "Most examples, from the start.", defaultText: "all", schema: optional(integer(1)) },
  maxTokens: { value: "<n>", help: "Most tokens generated for an example.", schema: integer(1).default(256) },
  predictions: {
    value: "<out.jsonl>",
    help: "Writes what was generated, or the losses, one example a line.",
    schema: optional(text),
  },
  placement: {
    value: "<placement>",
    help: "How the adapter runs: live, or merged into the weights of an engine of its own.",
    schema: z.enum(["live", "merged"]).default("live"),
  },
  seed: seed("Decides the resamples of the intervals."),
  maxNumSeqs: SERVE.maxNumSeqs,
  maxModelLen: SERVE.maxModelLen,
  kvCacheBytes: SERVE.kvCacheBytes,
  ...COMPUTE,
} satisfies Flags;
