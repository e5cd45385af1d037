/**
 * Runs a command line and returns its exit code: 0 done, 1 failed, 2 wrong usage.
 * A failure is one line on stderr; each command prints its own results.
 * A command's code is loaded when it is called, so that --help is fast.
 */
import { type CommandName, COMMANDS, commandOf, isCommand } from "../../config/commands.ts";
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

async function dispatch(command: CommandName, args: readonly string[], env: Environment): Promise<number> {
  if (parseCommand(command, args, env).help) return print(commandHelp(command));
  for (const notice of commandNotices(command, args, env)) process.stderr.write(`warning: ${notice}\n`);
  switch (command) {
    case "serve":
      return await (await import("../serve.ts")).serve(parseCommand(command, args, env));
    case "build":
      return await (await import("../build.ts")).build(parseCommand(command, args, env));
    case "train":
      return await (await import("../train.ts")).train(parseCommand(command, args, env));
    case "data check":
      return await (await import("../data-check.ts")).dataCheck(parseCommand(command, args, env));
    case "init":
      return await (await import("../init.ts")).init(parseCommand(command, args, env));
    case "eval":
      return await (await import("../eval.ts")).evaluateCommand(parseCommand(command, args, env));
    case "merge":
      return await (await import("../merge.ts")).merge(parseCommand(command, args, env));
    case "import":
      return await (await import("../import.ts")).importPeft(parseCommand(command, args, env));
    case "compress":
      return await (await import("../compress.ts")).compress(parseCommand(command, args, env));
    case "export":
      return await (await import("../export.ts")).exportPeft(parseCommand(command, args, env));
    case "replay":
      return await (await import("../replay.ts")).replay(parseCommand(command, args, env));
    case "keys add":
      return await (await import("../keys-add.ts")).keysAdd(parseCommand(command, args, env));
    case "keys list":
      return await (await import("../keys-list.ts")).keysList(parseCommand(command, args, env));
    case "keys revoke":
      return await (await import("../keys-revoke.ts")).keysRevoke(parseCommand(command, args, env));
    case "doctor":
      return await (await import("../doctor.ts")).doctor(parseCommand(command, args, env));
    case "inspect":
      return await (await import("../inspect.ts")).inspect(parseCommand(command, args, env));
  }
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
