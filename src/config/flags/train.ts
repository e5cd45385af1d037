/** Flags of `mosara train`. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { text, integer, proportion, positive, notNegative, names, optional, toggle } from "../values.ts";
import { COMPUTE, MODEL, seed } from "./shared.ts";

export const TRAIN = {
  model: MODEL,
  data: {
    value: "<file.jsonl>",
    help: 'Training examples, one JSON object a line. Several files may follow, and the flag may be repeated. --method full also accepts plain text files, and lines of the form {"text": …}.',
    isRepeatable: true,
    schema: z.array(text).min(1, "must name a file"),
  },
  out: {
    value: "<name.mosara>",
    help: "The adapter to write, or a directory with --method full. The step log and the checkpoint for --resume are written beside it.",
    schema: text,
  },
  method: {
    value: "<method>",
    help: "mo-sara, sara, lora, or full (every weight of the model).",
    schema: z.enum(["mo-sara", "sara", "lora", "full"]).default("mo-sara"),
  },
  objective: {
    value: "<objective>",
    help: "sft learns the answers of examples. dpo learns from preferences: lines with a chosen and a rejected answer. reward learns from the rewards that a grader gives to the model's own answers.",
    schema: z.enum(["sft", "dpo", "reward"]).default("sft"),
  },
  beta: {
    value: "<b>",
    help: "dpo: how strongly training stays near the initial model. With a smaller number, it may move further.",
    defaultText: "0.1",
    schema: optional(positive),
  },
  grader: {
    value: "<file.json>",
    help: "reward: the grader, an object as in OpenAI's reinforcement fine-tuning.",
    schema: optional(text),
  },
  graderProgram: {
    value: "<command>",
    help: "reward: a program instead of a grader. It reads one answer a line as JSON and writes one number a line.",
    schema: optional(text),
  },
  groupSize: {
    value: "<n>",
    help: "reward: number of answers to each prompt of a step. They are compared with each other.",
    defaultText: "8",
    schema: optional(integer(2, 1024)),
  },
  maxAnswerTokens: {
    value: "<n>",
    help: "reward: maximum number of tokens of an answer.",
    defaultText: "96",
    schema: optional(integer(1, 65_536)),
  },
  heads: { value: "<n>", help: "mo-sara: number of heads.", defaultText: "1", schema: optional(integer(1, 4096)) },
  router: {
    value: "<kind>",
    help: "mo-sara with several heads: kind of router, rank1 or full.",
    defaultText: "rank1",
    schema: optional(z.enum(["rank1", "full"])),
  },
  rank: { value: "<r>", help: "lora: rank of the adapter.", defaultText: "8", schema: optional(integer(1, 65_536)) },
  alpha: {
    value: "<a>",
    help: "lora: the adapter's output is scaled by alpha / rank.",
    defaultText: "2 r",
    schema: optional(positive),
  },
  targets: {
    value: "<names>",
    help: "Linear layers to adapt: names separated by commas, or all-linear.",
    defaultText: "the base's targets",
    schema: optional(names),
  },
  threshold: {
    value: "<m>",
    help: "mo-sara and sara: each layer gets the smallest k whose singular values reach this proportion of the sum of all. k is at most the base's.",
    defaultText: "the base's; 0.25 for a checkpoint",
    schema: optional(proportion),
  },
  eval: {
    value: "<file.jsonl>",
    help: "Held-out examples. Training evaluates them and writes the best state. Repeatable.",
    isRepeatable: true,
    schema: z.array(text).default([]),
  },
  steps: { value: "<n>", help: "Number of optimiser steps, instead of --epochs.", schema: optional(integer(1)) },
  epochs: { value: "<n>", help: "Number of passes through the data.", defaultText: "3", schema: optional(positive) },
  batchSize: { value: "<n>", help: "Number of examples in a micro-batch.", schema: integer(1, 65_536).default(8) },
  accumulate: { value: "<n>", help: "Number of micro-batches in a step.", schema: integer(1, 65_536).default(1) },
  maxLength: {
    value: "<n>",
    help: "Maximum number of tokens of an example.",
    defaultText: "the model's, at most 1024",
    schema: optional(integer(2)),
  },
  overlong: {
    value: "<policy>",
    help: "How to treat examples above --max-length. truncate keeps their beginning. skip leaves them out. Training reports their number.",
    schema: z.enum(["truncate", "skip"]).default("truncate"),
  },
  lr: {
    value: "<rate>",
    help: "Highest learning rate. mo-sara: a step changes each gain, and each number of a layer's output, by about this share.",
    defaultText: "0.2 mo-sara, 0.03 sara, 0.01 lora, 0.001 full. reward: a quarter of these",
    schema: optional(positive),
  },
  warmup: {
    value: "<n>",
    help: "Number of steps until the highest rate. A number below 1 is a share of all steps. The rate then falls along a cosine to 5 %.",
    schema: notNegative.default(0.06),
  },
  weightDecay: { value: "<n>", help: "Decoupled weight decay, as in AdamW.", schema: notNegative.default(0) },
  clip: {
    value: "<norm>",
    help: "Maximum norm of all gradients together. 0 turns clipping off.",
    schema: notNegative.default(1),
  },
  trust: {
    value: "<share>",
    help: "Maximum share of the loss that a step is expected to remove. Training shortens a larger step. 0 sets no limit.",
    defaultText: "0.3 for adapters, 0 for full and for rewards",
    schema: optional(notNegative),
  },
  golden: {
    value: "<n>",
    help: "Number of golden answers on the card: ends of examples and their log-probabilities. A server checks the file with them. Everyone who has the file can read them. 0 writes none.",
    schema: integer(0, 8).default(4),
  },
  seed: seed("Seed of the initial values and of the order of the examples."),
  evalEvery: {
    value: "<n>",
    help: "Number of steps between evaluations.",
    defaultText: "a tenth of all steps",
    schema: optional(integer(1)),
  },
  patience: {
    value: "<n>",
    help: "Stop early after this many evaluations without improvement.",
    defaultText: "never",
    schema: optional(integer(1)),
  },
  saveEvery: {
    value: "<n>",
    help: "Number of steps between checkpoints for --resume.",
    schema: integer(1).default(100),
  },
  keepEpochs: {
    value: "<n>",
    help: "Also write the adapters at the end of the last n epochs, beside --out as <name>.step-<step>.mosara.",
    schema: integer(0).default(0),
  },
  resume: {
    help: "Continue from the checkpoint beside --out. Without a checkpoint, training starts anew.",
    schema: toggle,
  },
  report: {
    value: "<file.html>",
    help: "HTML file for a report: curves, layers, samples before and after, and the command.",
    defaultText: "none",
    schema: optional(text),
  },
  tensorboard: {
    value: "<dir>",
    help: "Directory for TensorBoard event files with the losses, the learning rate and the gradient norm of every step.",
    defaultText: "none",
    schema: optional(text),
  },
  ...COMPUTE,
} satisfies Flags;
