/** Rebuilds the command line from a command's values, for users to read and run. Pure except for the home directory. */
import { homedir } from "node:os";
import { COMMANDS, type CommandName, type ConfigOf, flagName } from "../../config/commands.ts";
import type { Flag } from "../../config/flag.ts";

/** All flags that differ from their defaults, wherever they were set, quoted for a shell. The home directory is `~`. */
export function commandText<C extends CommandName>(command: C, config: ConfigOf<C>, home = homedir()): string {
  const flags: Readonly<Record<string, Flag<unknown>>> = COMMANDS[command].flags;
  const values: Readonly<Record<string, unknown>> = config;
  const parts = Object.entries(flags).flatMap(([key, flag]) => flagText(key, flag, values[key], home));
  const positionals = config.positionals.map((one) => quoted(one, home));
  return [`mosara ${command}`, ...positionals, ...parts].join(" ");
}

function flagText(
  key: string,
  { isRepeatable, schema }: Flag<unknown>,
  value: unknown,
  home: string,
): readonly string[] {
  const usual = schema.safeParse(undefined);
  if (value === undefined || value === null || (usual.success && JSON.stringify(usual.data) === JSON.stringify(value)))
    return [];
  const name = `--${flagName(key)}`;
  if (value === true) return [name];
  const words = Array.isArray(value) ? value.map(String) : [typeof value === "string" ? value : JSON.stringify(value)];
  const given = isRepeatable ? words : [words.join(",")];
  return given.map((word) => `${name} ${quoted(word, home)}`);
}

/** A word of a POSIX shell. */
function quoted(word: string, home: string): string {
  const isHome = home.length > 1 && word.startsWith(`${home}/`);
  const rest = isHome ? word.slice(home.length + 1) : word;
  const safe = /^[\w@%+=:,./-]+$/.test(rest) ? rest : `'${rest.replaceAll("'", "'\\''")}'`;
  return isHome ? `~/${safe}` : safe;
}
