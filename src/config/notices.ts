/** Notices on settings without effect: a flag that a later flag replaces, and a misspelt variable. */
import { parseArgs } from "node:util";
import { closestName } from "../fields/closest-name.ts";
import { COMMANDS, type CommandName, type CommandRow, environmentName, flagName } from "./commands.ts";
import { optionsOf } from "./parse.ts";

const PREFIX = "MOSARA_";

/** Sentences for the user. @param args that `parseCommand` has accepted */
export function commandNotices(
  command: CommandName,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const { flags }: CommandRow = COMMANDS[command];
  return [...repeatedFlags(flags, args), ...misspeltVariables(flags, env)];
}

function repeatedFlags(flags: CommandRow["flags"], args: readonly string[]): string[] {
  const options = optionsOf(flags);
  const { tokens } = parseArgs({ args: [...args], options, allowPositionals: true, tokens: true });
  const values = new Map<string, Set<string>>();
  for (const token of tokens) {
    if (token.kind !== "option" || token.value === undefined || options[token.name]?.multiple === true) continue;
    values.set(token.name, (values.get(token.name) ?? new Set()).add(token.value));
  }
  return [...values].flatMap(([name, given]) =>
    given.size < 2 ? [] : [`--${name} is given ${given.size} times with different values. The last one counts.`],
  );
}

/** Unknown variables are reported only if their name is close to a flag of this command. */
function misspeltVariables(
  flags: CommandRow["flags"],
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const all = Object.values(COMMANDS).flatMap((row: CommandRow) => Object.keys(row.flags));
  const known = new Set(all.map(environmentName));
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith(PREFIX) || known.has(name)) return [];
    const spelled = name.slice(PREFIX.length).toLowerCase().replaceAll("_", "-");
    const meant = Object.keys(flags).find(
      (key) => flagName(key) === closestName(spelled, Object.keys(flags).map(flagName)),
    );
    return meant === undefined ? [] : [`The variable ${name} sets nothing. Did you mean ${environmentName(meant)}?`];
  });
}
