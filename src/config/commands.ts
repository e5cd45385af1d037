/**
 * Every command with its flags, in one table. `--help`, docs/reference/commands.md
 * and the parser all read it, so they cannot disagree. It knows no command's code.
 */
import type { Flags, ValuesOf } from "./flag.ts";
import { BUILD } from "./flags/build.ts";
import { COMPRESS } from "./flags/compress.ts";
import { EXPORT, IMPORT, MERGE } from "./flags/convert.ts";
import { DATA_CHECK } from "./flags/data-check.ts";
import { DOCTOR } from "./flags/doctor.ts";
import { EVAL } from "./flags/eval.ts";
import { INIT } from "./flags/init.ts";
import { REPLAY } from "./flags/replay.ts";
import { KEYS_ADD, KEYS_FILE } from "./flags/keys.ts";
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
 * The implemented commands, in the order of the help. `positionals` are names of required arguments.
 * `rest` is the repeatable flag for further arguments, so that a shell's list of files may follow it.
 */
export const COMMANDS = {
  serve: {
    summary: "Serve a base model and its adapters over the OpenAI API.",
    positionals: [],
    flags: { ...SERVE, ...BUILD, ...CACHE, debug: COMMON.debug, help: COMMON.help },
  },
  build: {
    summary: "Convert a checkpoint (Hugging Face directory or GGUF file) to a base directory.",
    positionals: ["checkpoint"],
    flags: {
      out: { ...OUT, help: "Directory to write. It must be empty or not exist, or be a base, which is replaced." },
      ...BUILD,
      ...COMMON,
    },
  },
  train: {
    summary: "Train an adapter (or the whole model) on examples.",
    positionals: [],
    flags: { ...TRAIN, ...CACHE, ...COMMON },
    rest: "data",
  },
  "data check": {
    summary: "Check training data: lengths, duplicates, what is learnt, and the time that training needs.",
    positionals: ["file.jsonl"],
    flags: { ...DATA_CHECK, ...CACHE, ...COMMON },
  },
  init: {
    summary: "Write a checkpoint with random weights, as a start for training.",
    positionals: [],
    flags: { ...INIT, ...COMMON },
  },
  eval: {
    summary: "Measure a base on examples, and compare an adapter with it.",
    positionals: [],
    flags: { ...EVAL, ...BUILD, ...CACHE, ...COMMON },
  },
  merge: {
    summary: "Merge an adapter into the weights and write a Hugging Face checkpoint.",
    positionals: [],
    flags: { ...MERGE, ...CACHE, ...COMMON },
  },
  import: {
    summary: "Convert a PEFT LoRA directory to a .mosara file.",
    positionals: ["peft dir"],
    flags: { ...IMPORT, ...CACHE, ...COMMON },
  },
  compress: {
    summary: "Make a small Mo-SARA adapter that answers like a LoRA.",
    positionals: ["peft dir"],
    flags: { ...COMPRESS, ...CACHE, ...COMMON },
  },
  export: {
    summary: "Convert an adapter to a PEFT LoRA directory.",
    positionals: ["name.mosara"],
    flags: { ...EXPORT, ...CACHE, ...COMMON },
  },
  replay: {
    summary: "Check the receipt of an answer, and compute the answer again.",
    positionals: ["receipt.json"],
    flags: { ...REPLAY, ...BUILD, ...CACHE, ...COMMON },
  },
  doctor: {
    summary: "Check whether a server would run well on this machine.",
    positionals: [],
    flags: { ...DOCTOR, ...BUILD, ...CACHE, ...COMMON },
  },
  inspect: {
    summary: "Describe a .mosara file, a PEFT directory, a base directory or a checkpoint.",
    positionals: ["path"],
    flags: { ...COMMON },
  },
  "keys add": {
    summary: "Make a key, and add its hash to a keys file.",
    positionals: ["id"],
    flags: { ...KEYS_ADD, ...COMMON },
  },
  "keys list": {
    summary: "List the keys of a keys file.",
    positionals: [],
    flags: { keys: KEYS_FILE, ...COMMON },
  },
  "keys revoke": {
    summary: "Remove a key from a keys file.",
    positionals: ["id"],
    flags: { keys: KEYS_FILE, ...COMMON },
  },
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof COMMANDS;

/** The checked values of a command, by flag, with its arguments under `positionals`. */
export type ConfigOf<C extends CommandName> = Readonly<ValuesOf<(typeof COMMANDS)[C]["flags"]>> & {
  readonly positionals: readonly string[];
};
/** The options of the builder that `build` and `serve` share. */
export type BuildFlags = ValuesOf<typeof BUILD>;

/** `maxNumSeqs` → `max-num-seqs`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `maxNumSeqs` → `MOSARA_MAX_NUM_SEQS`. */
export function environmentName(key: string): string {
  return `MOSARA_${flagName(key).replaceAll("-", "_").toUpperCase()}`;
}

/** The name at the start of the arguments, which may have two words, and the arguments after it. */
export function commandOf(args: readonly string[]): readonly [name: string | undefined, rest: readonly string[]] {
  const [first, second] = args;
  const both = `${first} ${second}`;
  return isCommand(both) ? [both, args.slice(2)] : [first, args.slice(1)];
}

/** Whether a command of that name exists. */
export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}
