/** Flags of `mosara init`. */
import type { Flags } from "../flag.ts";
import { text } from "../values.ts";
import { OUT, seed } from "./shared.ts";

export const INIT = {
  config: {
    value: "<config.json>",
    help: "The model's configuration, as Hugging Face writes it; initializer_range (0.02) is the weights' deviation.",
    schema: text,
  },
  tokenizer: { value: "<dir>", help: "Directory whose tokenizer files are copied.", schema: text },
  out: OUT,
  seed: seed("Decides the weights."),
} satisfies Flags;
