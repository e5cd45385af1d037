/** Flags of several commands. */
import { z } from "zod";
import type { Flag, Flags } from "../flag.ts";
import { integer, optional, text, toggle } from "../values.ts";

export const COMMON = {
  json: { help: "Print the result as one JSON object on stdout and nothing else there.", schema: toggle },
  debug: { help: "Print the stack trace of a failure.", schema: toggle },
  help: { help: "Print this help.", schema: toggle },
} satisfies Flags;

export const CACHE = {
  cache: {
    value: "<dir>",
    help: "Where bases built from checkpoints are kept.",
    defaultText: "mosara under the user's cache directory",
    schema: optional(text),
  },
} satisfies Flags;

export const OUT = {
  value: "<dir>",
  help: "Directory to write; it must not exist or be empty.",
  schema: text,
} satisfies Flag<string>;

/** Where the engine or the trainer computes. */
export const COMPUTE = {
  threads: {
    value: "<n>",
    help: "Threads that compute.",
    defaultText: "the number of cores",
    schema: optional(integer(1, 1024)),
  },
  device: {
    value: "<device>",
    help: "cpu, webgpu or cuda. Never falls back in silence.",
    schema: z.enum(["cpu", "webgpu", "cuda"]).default("cpu"),
  },
} satisfies Flags;

/** The base of a command that needs one. */
export const MODEL = {
  value: "<dir>",
  help: "Base directory, or a checkpoint (a directory or a GGUF file), which is built once into the cache.",
  schema: text,
} satisfies Flag<string>;

/** @param help the part of the result that the seed decides */
export const seed = (help: string) =>
  ({ value: "<n>", help, schema: integer(0, 2 ** 32 - 1).default(0) }) satisfies Flag<number>;
