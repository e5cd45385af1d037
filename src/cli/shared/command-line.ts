/**
 * Runs a command line and returns its exit code: 0 done, 1 failed, 2 wrong usage.
 * A failure is one line on stderr; each command prints its own results.
 */
import { type CommandName, COMMANDS, type ConfigOf, commandOf, isCommand } from "../../config/commands.ts";
import { commandNotices } from "../../config/notices.ts";
import { parseCommand } from "../../config/parse.ts";
import { AppError } from "../../errors.ts";
import { closestName } from "../../fields/closest-name.ts";
import { commandHelp, overview } from "./help.ts";
import { readVersion } from "./package-root.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs one command line. @returns the exit code. */
export async function runCommandLine(args: readonly string[], env: Environment): Promise<number> {
  const [first, rest] = commandOf(args);
  if (first === "--version") return print(`${await readVersion()}\n`);
  if (first === "--help" || first === "-h" || first === "help") {
    const [topic] = commandOf(rest);
    return print(topic !== undefined && isCommand(topic) ? commandHelp(topic) : overview());
  }
  if (first === undefined || !isCommand(first)) {
    const found = first === undefined ? "nothing" : `"${first}"`;
    const meant = first === undefined ? undefined : closestName(first, Object.keys(COMMANDS));
    const hint = meant === undefined ? "" : ` Did you mean ${meant}?`;
    process.stderr.write(
      `mosara: A command was expected, found ${found}.${hint} The commands are ${Object.keys(COMMANDS).join(", ")}. See mosara --help.\n`,
    );
    return 2;
  }
  try {
    return await dispatch(first, rest, env);
  } catch (error) {
    return report(error, rest.includes("--debug") || /^(1|true|yes)$/i.test(env.MOSARA_DEBUG ?? ""));
  }
}

/** The function that runs each command. It imports the command's code when it is called, so that --help is fast. */
const RUNNERS: { readonly [C in CommandName]: (config: ConfigOf<C>) => Promise<number> } = {
  serve: async (config) => await (await import("../serve.ts")).serve(config),
  build: async (config) => await (await import("../build.ts")).build(config),
  train: async (config) => await (await import("../train.ts")).train(config),
  "data check": async (config) => await (await import("../data-check.ts")).dataCheck(config),
  init: async (config) => await (await import("../init.ts")).init(config),
  eval: async (config) => await (await import("../eval.ts")).evaluateCommand(config),
  merge: async (config) => await (await import("../merge.ts")).merge(config),
  import: async (config) => await (await import("../import.ts")).importPeft(config),
  compress: async (config) => await (await import("../compress.ts")).compressLora(config),
  export: async (config) => await (await import("../export.ts")).exportPeft(config),
  replay: async (config) => await (await import("../replay.ts")).replay(config),
  "keys add": async (config) => await (await import("../keys-add.ts")).keysAdd(config),
  "keys list": async (config) => await (await import("../keys-list.ts")).keysList(config),
  "keys revoke": async (config) => await (await import("../keys-revoke.ts")).keysRevoke(config),
  doctor: async (config) => await (await import("../doctor.ts")).doctor(config),
  inspect: async (config) => await (await import("../inspect.ts")).inspect(config),
};

async function dispatch<C extends CommandName>(command: C, args: readonly string[], env: Environment): Promise<number> {
  const config = parseCommand(command, args, env);
  if (config.help) return print(commandHelp(command));
  for (const notice of commandNotices(command, args, env)) process.stderr.write(`warning: ${notice}\n`);
  return await RUNNERS[command](config);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** The failure as one line; the stack only with --debug. */
function report(error: unknown, isDebug: boolean): number {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`mosara: ${message.replaceAll(/\s*\n\s*/g, " ")}\n`);
  if (isDebug && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof AppError && error.code === "usage" ? 2 : 1;
}
