/**
 * Every command with its flags, in one table. `--help`, docs/reference/commands.md and the parser all read it, so they cannot
 * disagree. It knows no command's code.
 */
import type { Flags, ValuesOf } from "./flag.ts";
import { BUILD } from "./flags/build.ts";
import { EXPORT, IMPORT, MERGE } from "./flags/convert.ts";
import { EVAL } from "./flags/eval.ts";
import { INIT } from "./flags/init.ts";
import { SERVE } from "./flags/serve.ts";
import { CACHE, COMMON, OUT } from "./flags/shared.ts";
import { TRAIN } from "./flags/train.ts";

export interface CommandRow {
  readonly summary: string;
  readonly positionals: readonly string[];
  readonly flags: Flags;
  readonly rest?: string;
}

/**
 * The commands that work, in the order of the help. `positionals` are names of required arguments; `rest` is the repeatable flag
 * that further arguments belong to, so that a shell's list of files may follow it.
 */
export const COMMANDS = {
  serve: {
    summary: "Serve a base model and its adapters over the OpenAI API.",
    positionals: [],
    flags: { ...SERVE, ...BUILD, ...CACHE, debug: COMMON.debug, help: COMMON.help },
  },
  build: {
    summary: "Turn a checkpoint, a Hugging Face directory or a GGUF file, into a base directory.",
    positionals: ["checkpoint"],
    flags: { out: OUT, ...BUILD, ...COMMON },
  },
  train: {
    summary: "Train an adapter (or the whole model) on examples.",
    positionals: [],
    flags: { ...TRAIN, ...CACHE, ...COMMON },
    rest: "data",
  },
  init: {
    summary: "Write a checkpoint with random weights, to train from nothing.",
    positionals: [],
    flags: { ...INIT, ...COMMON },
  },
  eval: {
    summary: "Measure a base, and an adapter beside it, on examples.",
    positionals: [],
    flags: { ...EVAL, ...BUILD, ...CACHE, ...COMMON },
  },
  merge: {
    summary: "Write a Hugging Face checkpoint with an adapter folded in.",
    positionals: [],
    flags: { ...MERGE, ...CACHE, ...COMMON },
  },
  import: {
    summary: "Turn a PEFT LoRA directory into a .mosara file.",
    positionals: ["peft dir"],
    flags: { ...IMPORT, ...CACHE, ...COMMON },
  },
  export: {
    summary: "Write an adapter as a PEFT LoRA directory.",
    positionals: ["name.mosara"],
    flags: { ...EXPORT, ...CACHE, ...COMMON },
  },
  inspect: {
    summary: "Say what a .mosara file, a base directory or a checkpoint is.",
    positionals: ["path"],
    flags: { ...COMMON },
  },
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof COMMANDS;

/** The checked values of a command, by flag, with its arguments under `positionals`. */
export type ConfigOf<C extends CommandName> = Readonly<ValuesOf<(typeof COMMANDS)[C]["flags"]>> & {
  readonly positionals: readonly string[];
};
/** What `build` and `serve` hand to the builder. */
export type BuildFlags = ValuesOf<typeof BUILD>;

/** `maxNumSeqs` → `max-num-seqs`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `maxNumSeqs` → `MOSARA_MAX_NUM_SEQS`. */
export function environmentName(key: string): string {
  return `MOSARA_${flagName(key).replaceAll("-", "_").toUpperCase()}`;
}

/** Whether there is a command of that name. */
export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}
