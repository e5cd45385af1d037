/**
 * Parses arguments, environment and the file of --config into the checked values of a command: flags > MOSARA_*
 * environment > file > defaults.
 */
import { parseArgs } from "node:util";
import { AppError, quote } from "../errors.ts";
import { closestName } from "../fields/closest-name.ts";
import { COMMANDS, type CommandName, type CommandRow, type ConfigOf, environmentName, flagName } from "./commands.ts";
import type { Flag, Flags } from "./flag.ts";
import { readSettingsFile } from "./settings-file.ts";

/**
 * The values of a command from its arguments, the environment and the settings file that one of them names.
 * @throws {AppError} `usage`, naming the flag or variable, the value found and the values it accepts.
 */
export function parseCommand<C extends CommandName>(
  command: C,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ConfigOf<C> {
  const { flags, positionals: wanted, rest }: CommandRow = COMMANDS[command];
  const { values: given, positionals } = readArguments(command, flags, args);
  if (rest !== undefined && Array.isArray(given[rest]))
    given[rest] = [...given[rest], ...positionals.splice(0)] as string[];
  const isHelp = given.help === true;
  const path =
    flags.config?.namesSettings === true && !isHelp ? (given.config ?? env[environmentName("config")]) : undefined;
  const inFile = typeof path === "string" && path !== "" ? readSettingsFile(path, flags) : null;
  const values: Record<string, unknown> = {};
  for (const [key, flag] of Object.entries(flags)) {
    const name = flagName(key);
    const variable = environmentName(key);
    const fromVariable = fromEnvironment(flag, env[variable], variable);
    const [raw, source] =
      given[name] !== undefined
        ? [given[name], `--${name}`]
        : fromVariable === undefined && inFile?.has(name)
          ? [inFile.get(name), `${name} in ${path as string}`]
          : [fromVariable, variable];
    if (!isHelp) values[key] = valueOf(command, key, flag, raw, source);
  }
  if (isHelp) return { help: true, positionals } as unknown as ConfigOf<C>; // no other flag is read then
  if (positionals.length !== wanted.length) {
    const expected = wanted.length === 0 ? "no arguments" : wanted.map((name) => `<${name}>`).join(" ");
    throw usage(
      command,
      `"${command}" takes ${expected} besides flags, found ${positionals.length === 0 ? "none" : positionals.map((p) => `"${p}"`).join(" ")}.`,
    );
  }
  // The table of commands makes this type correct by construction.
  return Object.freeze({ ...values, positionals: Object.freeze([...positionals]) }) as unknown as ConfigOf<C>;
}

function usage(command: string, message: string): AppError {
  return new AppError("usage", `${message} See mosara ${command} --help.`);
}

/** The flags as Node's parser wants them. `-h` is --help. */
export function optionsOf(flags: Flags) {
  return Object.fromEntries(
    Object.entries(flags).map(([key, flag]) => [
      flagName(key),
      {
        type: flag.value === undefined ? ("boolean" as const) : ("string" as const),
        multiple: flag.isRepeatable === true,
        ...(key === "help" ? { short: "h" } : {}),
      },
    ]),
  );
}

function readArguments(command: string, flags: Flags, args: readonly string[]) {
  const options = optionsOf(flags);
  try {
    return parseArgs({ args: withDashedValues(args, options), options, allowPositionals: true, strict: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // Node's first sentence names the flag. The rest is advice about "--", which does not apply here.
    const [sentence = error.message] = error.message.split(/\.\s/);
    throw usage(command, `${sentence.replace(/\.$/, "")}.${meantFlag(sentence, Object.keys(options))}`);
  }
}

/**
 * A value that begins with "-" is joined to its flag, such as `--public-key=-kf…`: Node's parser refuses it alone. What
 * looks like a flag is none's value, since its own may have been forgotten.
 */
function withDashedValues(args: readonly string[], options: ReturnType<typeof optionsOf>): string[] {
  const joined: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const [arg = "", next = ""] = [args[at], args[at + 1]];
    if (arg === "--") return [...joined, ...args.slice(at)];
    const takesValue = arg.startsWith("--") && options[arg.slice(2)]?.type === "string";
    const isDashedValue = /^-./.test(next) && !/^(-[a-z]|--[a-z-]*(=.*)?)$/s.test(next);
    if (takesValue && isDashedValue) at++;
    joined.push(takesValue && isDashedValue ? `${arg}=${next}` : arg);
  }
  return joined;
}

/** " Did you mean …?" for an unknown flag close to one of the command's. */
function meantFlag(sentence: string, known: readonly string[]): string {
  const [, name] = /^Unknown option '--?([^'=]+)'/.exec(sentence) ?? [];
  const spelled = name?.replaceAll("_", "-").toLowerCase();
  const meant =
    spelled === undefined ? undefined : (known.find((one) => one === spelled) ?? closestName(spelled, known));
  return meant === undefined ? "" : ` Did you mean --${meant}?`;
}

function fromEnvironment(flag: Flag<unknown>, value: string | undefined, source: string): unknown {
  if (value === undefined || value === "") return undefined;
  if (flag.isRepeatable) return value.split(",").map((part) => part.trim());
  if (flag.value !== undefined) return value;
  if (/^(1|true|yes)$/i.test(value)) return true;
  if (/^(0|false|no)$/i.test(value)) return false;
  throw new AppError("usage", `${source} is a switch: set it to 1 or 0, found "${value}".`);
}

function valueOf(command: string, key: string, flag: Flag<unknown>, raw: unknown, source: string): unknown {
  const result = flag.schema.safeParse(raw);
  if (result.success) return result.data;
  if (raw === undefined) throw usage(command, `"${command}" needs --${flagName(key)} ${flag.value ?? ""}.`);
  const issue = result.error.issues[0];
  const found = flag.isSecret ? "" : `, found ${quote(raw)}`;
  const message =
    issue?.code === "invalid_value" ? `must be one of ${issue.values.join(", ")}` : (issue?.message ?? "is invalid");
  throw usage(command, `${source} ${message}${found}.`);
}
