/** Flags that several commands share. */
import { z } from "zod";
import type { Flag, Flags } from "../flag.ts";
import { integer, optional, text, toggle } from "../values.ts";

export const COMMON = {
  json: { help: "Print the result as one JSON object, and nothing else, on stdout.", schema: toggle },
  debug: { help: "Print the stack trace when the command fails.", schema: toggle },
  help: { help: "Print this help.", schema: toggle },
} satisfies Flags;

export const CACHE = {
  cache: {
    value: "<dir>",
    help: "Directory for bases that were built from checkpoints.",
    defaultText: "mosara under the user's cache directory",
    schema: optional(text),
  },
} satisfies Flags;

export const OUT = {
  value: "<dir>",
  help: "Directory to write. It must be empty or not exist.",
  schema: text,
} satisfies Flag<string>;

/** The device of the engine or the trainer. */
export const COMPUTE = {
  threads: {
    value: "<n>",
    help: "Number of threads that compute.",
    defaultText: "the number of cores",
    schema: optional(integer(1, 1024)),
  },
  device: {
    value: "<device>",
    help: "cpu, webgpu or cuda. A missing device is an error, never a silent fallback.",
    schema: z.enum(["cpu", "webgpu", "cuda"]).default("cpu"),
  },
} satisfies Flags;

/** The base of a command that needs one. */
export const MODEL = {
  value: "<dir>",
  help: "Base directory, checkpoint directory, GGUF file, or a model of the Hub (owner/name, owner/name/file.gguf). The first use of a checkpoint builds a base in the cache.",
  schema: text,
} satisfies Flag<string>;

/** @param help the part of the result that depends on the seed */
export const seed = (help: string) =>
  ({ value: "<n>", help, schema: integer(0, 2 ** 32 - 1).default(0) }) satisfies Flag<number>;
