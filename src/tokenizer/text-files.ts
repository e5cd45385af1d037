/**
 * The files by which a model reads and writes text, read once for tokenizer and template alike: tokenizer.json, its configuration with
 * the older files beside it, and the chat templates in every place and form that transformers 5.24 knows.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { applyTokenizerClass } from "./tokenizer-class.ts";
import { isObject, mergeTokenizerConfig, namedTokens, tokenText } from "./tokenizer-config.ts";
import { checkTokenizer, type TokenizerFiles } from "./tokenizer-files.ts";

type Json = Record<string, unknown>;

/** Everything that the text files of one model say. */
export interface TextFiles {
  readonly dir: string;
  readonly tokenizer: TokenizerFiles;
  /** Sources of chat templates by name ("default", "tool_use", …); empty where the model has none. */
  readonly templates: ReadonlyMap<string, string>;
  /** Special tokens under the names by which templates know them. */
  readonly specialVariables: Readonly<Record<string, string>>;
}

const TEMPLATE_FOLDER = "additional_chat_templates";

/** Reads the text files of a base directory or checkpoint. @throws {AppError} checkpoint_invalid or checkpoint_unsupported. */
export async function readTextFiles(dir: string): Promise<TextFiles> {
  const json = await readNeeded(dir, "tokenizer.json");
  const files = {
    config: await readOptionalJson(dir, "tokenizer_config.json"),
    specialTokensMap: await readOptionalJson(dir, "special_tokens_map.json"),
    addedTokens: await readOptionalJson(dir, "added_tokens.json"),
  };
  const model = (await readOptionalJson(dir, "config.json")) ?? {};
  const merged = mergeTokenizerConfig(files, dir);
  const completed = applyTokenizerClass(json, merged, model.model_type, dir);
  const tokenizer = checkTokenizer(completed.json, completed.config, dir, completed.traits);
  const specialVariables = Object.fromEntries(
    namedTokens(completed.config).map(([name, token]) => [name, tokenText(token) ?? ""]),
  );
  return { dir, tokenizer, templates: await readTemplates(dir, merged.chat_template), specialVariables };
}

/** Files outrank the configuration, all of it. */
async function readTemplates(dir: string, configured: unknown): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const main = await readOptional(join(dir, "chat_template.jinja"));
  if (main !== undefined) found.set("default", main);
  for (const name of (await namesIn(join(dir, TEMPLATE_FOLDER))).filter((one) => one.endsWith(".jinja")).sort()) {
    const source = await readOptional(join(dir, TEMPLATE_FOLDER, name));
    if (source !== undefined) found.set(name.slice(0, -".jinja".length), source);
  }
  return found.size > 0 ? found : configuredTemplates(configured, dir);
}

/** One template, a list of named ones, or a map. @throws {AppError} checkpoint_invalid for anything else. */
function configuredTemplates(value: unknown, dir: string): Map<string, string> {
  if (value === undefined || value === null) return new Map();
  if (typeof value === "string") return new Map([["default", value]]);
  const entries: unknown[][] = Array.isArray(value)
    ? (value as unknown[]).map((one) => (isObject(one) ? [one.name, one.template] : []))
    : Object.entries(value);
  return new Map(
    entries.map(([name, template]) => {
      if (typeof name === "string" && typeof template === "string") return [name, template];
      throw new AppError(
        "checkpoint_invalid",
        `chat_template of tokenizer_config.json in ${dir} should be a template, a list of {"name", "template"} or a map of names to templates.`,
      );
    }),
  );
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) return [];
    throw unreadable(folder, cause);
  }
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): AppError {
  return new AppError("checkpoint_invalid", `${path} cannot be read: ${String(cause)}`, { cause });
}

async function readNeeded(dir: string, name: string): Promise<Json> {
  const value = await readOptionalJson(dir, name);
  if (value !== undefined) return value;
  throw new AppError(
    "checkpoint_invalid",
    `${name} is needed to read and write text, but there is none in ${dir}. Add the tokenizer files of the model.`,
  );
}

/** One JSON object of a model's directory; undefined where there is no such file. @throws {AppError} checkpoint_invalid, naming the file. */
export async function readOptionalJson(dir: string, name: string): Promise<Json | undefined> {
  const path = join(dir, name);
  const text = await readOptional(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AppError("checkpoint_invalid", `${path} should be JSON: ${String(cause)}`, { cause });
  }
  if (isObject(value)) return value;
  throw new AppError("checkpoint_invalid", `${path} should hold a JSON object. Copy it again from the model.`);
}
