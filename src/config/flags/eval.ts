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
    help: "The .mosara file to compare with the base.",
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
    help: "loss, exact, contains, number, choice or bleu. loss is in nats per token of the completion. bleu runs from 0 to 100. The others are shares of right answers.",
    schema: z.enum(["loss", "exact", "contains", "number", "choice", "bleu"]),
  },
  limit: {
    value: "<n>",
    help: "Maximum number of examples, from the start of the file.",
    defaultText: "all",
    schema: optional(integer(1)),
  },
  maxTokens: {
    value: "<n>",
    help: "Maximum number of generated tokens for an example.",
    schema: integer(1).default(256),
  },
  predictions: {
    value: "<out.jsonl>",
    help: "File for the generated answers, or the losses, one example a line.",
    schema: optional(text),
  },
  placement: {
    value: "<placement>",
    help: "How the adapter runs: live, or merged into the weights of its own engine.",
    schema: z.enum(["live", "merged"]).default("live"),
  },
  seed: seed("Seed of the resampling that gives the intervals."),
  maxNumSeqs: SERVE.maxNumSeqs,
  maxModelLen: SERVE.maxModelLen,
  kvCacheBytes: SERVE.kvCacheBytes,
  kvCacheDtype: SERVE.kvCacheDtype,
  ...COMPUTE,
} satisfies Flags;
