/**
 * The file of --config: YAML (or JSON, which is YAML) that maps names of flags, without the dashes, to their values.
 * Its values take the form of parsed arguments, so that one schema checks both.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type * as Yaml from "yaml";
import { AppError, quote } from "../errors.ts";
import { closestName } from "../fields/closest-name.ts";
import { flagName } from "./commands.ts";
import type { Flag, Flags } from "./flag.ts";

/** The value of a flag as a parser of arguments gives it: a switch, a text, or the texts of a repeatable flag. */
export type RawValue = boolean | string | readonly string[];

/** Flags that only make sense on a command line. */
const NOT_IN_FILES = new Set(["config", "help"]);

/**
 * The values by flag name.
 * @throws {AppError} `usage` with the line, when the file cannot be read, is no such map, or names no flag of these.
 */
export function readSettingsFile(path: string, flags: Flags): ReadonlyMap<string, RawValue> {
  const known = new Map(Object.entries(flags).map(([key, flag]) => [flagName(key), flag]));
  for (const name of NOT_IN_FILES) known.delete(name);
  return new Map(
    Object.entries(readMap(path)).map(([name, value]) => {
      const flag = known.get(name);
      if (flag === undefined)
        throw usage(path, `has ${name}, which is not a setting.${meantName(name, [...known.keys()])}`);
      return [name, rawValueOf(path, name, flag, value)];
    }),
  );
}

function readMap(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw usage(path, `cannot be read: ${(error as Error).message}.`);
  }
  // Loaded here, so that the many runs without a file start sooner.
  const { LineCounter, parseDocument } = createRequire(import.meta.url)("yaml") as typeof Yaml;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [fault] = [...document.errors, ...document.warnings];
  if (fault) throw usage(path, `is not valid YAML in line ${lines.linePos(fault.pos[0]).line}: ${fault.message}.`);
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  if (value === null) return {}; // an empty file, or comments alone
  if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw usage(path, "must map names of flags to values, such as `max-num-seqs: 32`.");
}

function rawValueOf(path: string, name: string, flag: Flag<unknown>, value: unknown): RawValue {
  const isSwitch = flag.value === undefined;
  if (isSwitch && typeof value === "boolean") return value;
  const texts = (Array.isArray(value) ? value : [value]).map((one) =>
    typeof one === "string" || typeof one === "number" ? String(one) : null,
  );
  if (isSwitch || texts.includes(null)) {
    const wanted = isSwitch ? "true or false" : "a text, a number, or a list of them";
    const found = flag.isSecret ? "" : `, found ${quote(value)}`;
    throw usage(path, `must give ${name} ${wanted}${found}.`);
  }
  return flag.isRepeatable ? (texts as string[]) : texts.join(",");
}

function meantName(name: string, known: readonly string[]): string {
  const meant = closestName(name.replace(/^--/, "").replaceAll("_", "-").toLowerCase(), known);
  return meant === undefined ? " See mosara serve --help." : ` Did you mean ${meant}?`;
}

function usage(path: string, message: string): AppError {
  return new AppError("usage", `The file ${path} of --config ${message}`);
}
