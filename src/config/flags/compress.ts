/** Flags of `mosara compress`. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { integer, text } from "../values.ts";
import { TRAIN } from "./train.ts";

const { model, eval: heldOut, batchSize, maxLength, overlong, targets, threads, device, seed } = TRAIN;

export const COMPRESS = {
  model,
  data: {
    value: "<file.jsonl>",
    help: "Examples of the adapter's use, in the forms of training data. The new adapter learns the original's distributions on their answers. Repeatable.",
    isRepeatable: true,
    schema: z.array(text).min(1, "must name a file"),
  },
  eval: { ...heldOut, help: "Examples to measure with. Default: every tenth example, which is then not learnt from." },
  out: { value: "<name.mosara>", help: "The file to write.", schema: text },
  steps: {
    value: "<n>",
    help: "Number of steps of distillation, after the projection.",
    schema: integer(1).default(150),
  },
  lr: { ...TRAIN.lr, help: "Highest learning rate of the distillation.", defaultText: "0.2" },
  targets: { ...targets, help: "Linear layers to adapt: names separated by commas, or all-linear." },
  batchSize,
  maxLength,
  overlong,
  seed,
  threads,
  device,
} satisfies Flags;
