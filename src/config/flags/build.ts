/** Flags of `mosara build`, and of every command that may build a base first. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { text, integer, proportion, names, optional, toggle } from "../values.ts";

export const BUILD = {
  weights: {
    value: "<format>",
    help: "auto, float32, float16, int8 or int4. auto: float32 under 50 M parameters, else int8.",
    schema: z.enum(["auto", "float32", "float16", "int8", "int4"]).default("auto"),
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
    help: "Take the bases of this base directory over instead of computing them.",
    schema: optional(text),
  },
  targets: {
    value: "<names>",
    help: "Linear layers that get a Mo-SARA basis: names separated by commas, all-linear, or none.",
    defaultText: "q_proj,v_proj,o_proj,down_proj, or what the family calls them",
    schema: optional(names),
  },
  threshold: {
    value: "<m>",
    help: "Proportion of the sum of all singular values that decides each basis' rank.",
    defaultText: "0.25",
    schema: optional(proportion),
  },
  maxRank: { value: "<n>", help: "Upper bound of each basis' rank.", schema: optional(integer(1)) },
  slim: { help: "Leave out the original weights; merge, train and merged placement then refuse.", schema: toggle },
} satisfies Flags;
