/** Makes help texts and docs/reference/commands.md from the table of flags. Knows only the table. */
import { COMMANDS, type CommandName, environmentName, flagName } from "../../config/commands.ts";
import type { Flag } from "../../config/flag.ts";

const WIDTH = 100;

/** The text of `mosara --help`. */
export function overview(): string {
  const rows = Object.entries(COMMANDS).map(([name, command]) => `  ${name.padEnd(12)}${command.summary}`);
  return [
    "Usage: mosara <command> [flags]",
    "",
    "Commands:",
    ...rows,
    "",
    "mosara <command> --help lists the flags. mosara --version prints the version.",
    "",
  ].join("\n");
}

/** The text of `mosara <command> --help`. */
export function commandHelp(name: CommandName): string {
  const { summary } = COMMANDS[name];
  const rows = flagsOf(name).map(([key, flag]) => {
    const left = `  --${flagName(key)}${flag.value === undefined ? "" : ` ${flag.value}`}`;
    const lines = wrap([flag.help, defaultSentence(flag)].filter((part) => part !== "").join(" "), WIDTH - 34);
    const head = left.length < 33 ? left.padEnd(34) + (lines.shift() ?? "") : left;
    return [head, ...lines.map((line) => " ".repeat(34) + line)].join("\n");
  });
  const note = "Missing flags are read from the environment: MOSARA_SOME_FLAG stands for --some-flag.";
  return [synopsis(name), "", summary, "", "Flags:", ...rows, "", note, ""].join("\n");
}

/** docs/reference/commands.md. */
export function commandsDocument(): string {
  const sections = (Object.keys(COMMANDS) as CommandName[]).map((name) => {
    const rows = flagsOf(name).map(([key, flag]) => {
      const shown = `\`--${flagName(key)}${flag.value === undefined ? "" : ` ${flag.value}`}\``;
      return `| ${shown} | \`${environmentName(key)}\` | ${defaultOf(flag)} | ${flag.help.replaceAll("|", "\\|")} |`;
    });
    const head = ["| flag | environment | default | |", "|---|---|---|---|"];
    return [
      `## ${name}`,
      "",
      COMMANDS[name].summary,
      "",
      `\`${synopsis(name).replace("Usage: ", "")}\``,
      "",
      ...head,
      ...rows,
    ].join("\n");
  });
  const intro =
    "`scripts/make-docs.ts` makes this page from the table in `src/config/commands.ts`. A test fails when they differ.\n\nA flag overrides its environment variable. The variable overrides the file of `--config` (`serve`), and the file the\ndefault.\n\nExit codes: 0 success, 1 failure, 2 wrong usage.";
  return `${["# Commands", intro, ...sections].join("\n\n")}\n`;
}

function flagsOf(name: CommandName): [string, Flag<unknown>][] {
  return Object.entries(COMMANDS[name].flags);
}

function synopsis(name: CommandName): string {
  const { positionals, flags } = COMMANDS[name];
  const required = Object.entries(flags as Record<string, Flag<unknown>>)
    .filter(([, flag]) => !flag.schema.safeParse(undefined).success)
    .map(([key, flag]) => ` --${flagName(key)} ${flag.value ?? ""}`);
  return `Usage: mosara ${name}${positionals.map((p) => ` <${p}>`).join("")}${required.join("")} [flags]`;
}

/** The default as a user would type it; empty for "none". */
function defaultOf(flag: Flag<unknown>): string {
  if (flag.defaultText !== undefined) return flag.defaultText;
  const result = flag.schema.safeParse(undefined);
  if (!result.success) return "(required)";
  const value = result.data;
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function defaultSentence(flag: Flag<unknown>): string {
  const text = defaultOf(flag);
  if (text === "") return "";
  return text === "(required)" ? "Required." : `Default: ${text}.`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
