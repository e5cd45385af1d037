/** Flags of `mosara build`, and of every command that may build a base first. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { text, integer, proportion, names, optional, toggle } from "../values.ts";

const WEIGHTS = ["auto", "float32", "float16", "int8", "int4"] as const;

export const BUILD = {
  weights: {
    value: "<format>",
    help: "auto, float32, float16, int8, int4 or auto:<bits>. auto chooses float32 below 50 M parameters and int8 from there on. auto:<bits>, such as auto:4.75, sets the mean number of bits for each weight. Matrices whose rounding costs most get more bits.",
    schema: z
      .custom<(typeof WEIGHTS)[number] | `auto:${number}`>(
        (value) => WEIGHTS.some((kind) => kind === value) || /^auto:\d+(\.\d+)?$/.test(String(value)),
        `must be ${WEIGHTS.join(", ")}, or auto:<bits> such as auto:4.75`,
      )
      .default("auto"),
  },
  blockSize: {
    value: "<n>",
    help: "Quantisation block: 32, 64 or 128.",
    defaultText: "32",
    schema: optional(
      z
        .enum(["32", "64", "128"])
        .transform(Number)
        .pipe(z.literal([32, 64, 128])),
    ),
  },
  basisFrom: {
    value: "<base dir>",
    help: "Copy the bases of this base directory instead of computing them.",
    schema: optional(text),
  },
  targets: {
    value: "<names>",
    help: "Linear layers that get a Mo-SARA basis: names separated by commas, all-linear, or none.",
    defaultText: "q_proj,v_proj,o_proj,down_proj, under the family's own names",
    schema: optional(names),
  },
  threshold: {
    value: "<m>",
    help: "Each basis gets the smallest rank whose singular values reach this proportion of the sum of all.",
    defaultText: "0.25",
    schema: optional(proportion),
  },
  maxRank: { value: "<n>", help: "Maximum rank of a basis.", schema: optional(integer(1)) },
  slim: {
    help: "Leave out the original weights. The base then cannot be merged with an adapter or trained.",
    schema: toggle,
  },
} satisfies Flags;
