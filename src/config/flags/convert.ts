/** Flags of the commands that convert adapters: merge, import, export. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { text, optional } from "../values.ts";
import { OUT } from "./shared.ts";

/** Flags of `mosara merge`. */
export const MERGE = {
  model: { value: "<dir>", help: "Base directory, checkpoint, or a model of the Hub.", schema: text },
  adapter: { value: "<file>", help: "The .mosara file.", schema: text },
  out: OUT,
  dtype: {
    value: "<dtype>",
    help: "Format of the written weights: float32, float16 or bfloat16.",
    defaultText: "the source's",
    schema: optional(z.enum(["float32", "float16", "bfloat16"])),
  },
  meanGate: {
    value: "<file.jsonl>",
    help: "Merge an adapter with several heads, using its mean gate over these examples. The result is not exact, and the error is reported.",
    schema: optional(text),
  },
} satisfies Flags;

/** Flags of `mosara import`. */
export const IMPORT = {
  model: {
    value: "<dir>",
    help: "Base directory, checkpoint, or model of the Hub that will serve the adapter.",
    schema: text,
  },
  out: { value: "<name.mosara>", help: "The file to write.", schema: text },
} satisfies Flags;

/** Flags of `mosara export`. */
export const EXPORT = {
  model: {
    value: "<dir>",
    help: "Base directory, checkpoint, or model of the Hub that the adapter was made for.",
    schema: text,
  },
  out: OUT,
} satisfies Flags;
