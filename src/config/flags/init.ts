/** Flags of `mosara init`. */
import type { Flags } from "../flag.ts";
import { text } from "../values.ts";
import { OUT, seed } from "./shared.ts";

export const INIT = {
  config: {
    value: "<config.json>",
    help: "The model's configuration in Hugging Face's form. initializer_range (0.02 if missing) is the standard deviation of the weights.",
    schema: text,
  },
  tokenizer: { value: "<dir>", help: "Directory to copy the tokenizer files from.", schema: text },
  out: OUT,
  seed: seed("Seed of the random weights."),
} satisfies Flags;
