/** Flags of `mosara train`. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { text, integer, proportion, positive, notNegative, names, optional, toggle } from "../values.ts";
import { COMPUTE, MODEL, seed } from "./shared.ts";

export const TRAIN = {
  model: MODEL,
  data: {
    value: "<file.jsonl>",
    help: "Training examples, one JSON object a line. Several files may follow, or the flag be repeated. full also takes running text: plain text files, and lines with a text.",
    isRepeatable: true,
    schema: z.array(text).min(1, "must name a file"),
  },
  out: {
    value: "<name.mosara>",
    help: "The adapter to write; with --method full a directory. The step log and the checkpoint to go on from lie beside it.",
    schema: text,
  },
  method: {
    value: "<method>",
    help: "mo-sara, sara, lora, or full (every weight of the model).",
    schema: z.enum(["mo-sara", "sara", "lora", "full"]).default("mo-sara"),
  },
  heads: { value: "<n>", help: "mo-sara: adapter heads.", defaultText: "1", schema: optional(integer(1, 4096)) },
  router: {
    value: "<kind>",
    help: "mo-sara with several heads: rank1 or full.",
    defaultText: "rank1",
    schema: optional(z.enum(["rank1", "full"])),
  },
  rank: { value: "<r>", help: "lora: rank.", defaultText: "8", schema: optional(integer(1, 65_536)) },
  alpha: {
    value: "<a>",
    help: "lora: the delta is scaled by alpha / rank.",
    defaultText: "2 r",
    schema: optional(positive),
  },
  targets: {
    value: "<names>",
    help: "Linear layers to adapt: names separated by commas, or all-linear.",
    defaultText: "those of the base",
    schema: optional(names),
  },
  threshold: {
    value: "<m>",
    help: "mo-sara and sara: proportion of the sum of all singular values that decides each layer's k; at most the base's k.",
    defaultText: "the base's; 0.25 for a checkpoint",
    schema: optional(proportion),
  },
  eval: {
    value: "<file.jsonl>",
    help: "Held-out examples: evaluated while training, and the best state is what is written. Repeatable.",
    isRepeatable: true,
    schema: z.array(text).default([]),
  },
  steps: { value: "<n>", help: "Steps of the optimiser, instead of --epochs.", schema: optional(integer(1)) },
  epochs: { value: "<n>", help: "Passes through the data.", defaultText: "3", schema: optional(positive) },
  batchSize: { value: "<n>", help: "Examples of a micro-batch.", schema: integer(1, 65_536).default(8) },
  accumulate: { value: "<n>", help: "Micro-batches of a step.", schema: integer(1, 65_536).default(1) },
  maxLength: {
    value: "<n>",
    help: "Most tokens of an example.",
    defaultText: "the model's, at most 1024",
    schema: optional(integer(2)),
  },
  overlong: {
    value: "<policy>",
    help: "Examples above --max-length: truncate keeps their beginning, skip leaves them out. Either way they are counted and reported.",
    schema: z.enum(["truncate", "skip"]).default("truncate"),
  },
  lr: {
    value: "<rate>",
    help: "Highest learning rate. mo-sara: the share by which a step changes each number of a layer's output or gain.",
    defaultText: "0.2 mo-sara, 0.03 sara, 0.01 lora, 0.001 full",
    schema: optional(positive),
  },
  warmup: {
    value: "<n>",
    help: "Steps until the highest rate; below 1 a share of all. A cosine to 5 % of the rate follows.",
    schema: notNegative.default(0.06),
  },
  weightDecay: { value: "<n>", help: "Decoupled weight decay.", schema: notNegative.default(0) },
  clip: {
    value: "<norm>",
    help: "Largest norm of all gradients together; 0 does not clip.",
    schema: notNegative.default(1),
  },
  trust: {
    value: "<share>",
    help: "Largest share of the loss that one step may promise to remove; a larger step is shortened. 0 sets no bound.",
    defaultText: "0.3 for adapters, 0 for full",
    schema: optional(notNegative),
  },
  seed: seed("Decides initial values and the order of the examples."),
  evalEvery: {
    value: "<n>",
    help: "Steps between evaluations.",
    defaultText: "a tenth of all steps",
    schema: optional(integer(1)),
  },
  patience: {
    value: "<n>",
    help: "Stop early after this many evaluations without a better one.",
    defaultText: "never",
    schema: optional(integer(1)),
  },
  saveEvery: { value: "<n>", help: "Steps between checkpoints to go on from.", schema: integer(1).default(100) },
  resume: { help: "Go on from the checkpoint beside --out; from the start where there is none.", schema: toggle },
  report: {
    value: "<file.html>",
    help: "Writes one HTML file to look at: curves, layers, samples before and after, and the command.",
    defaultText: "none",
    schema: optional(text),
  },
  ...COMPUTE,
} satisfies Flags;
