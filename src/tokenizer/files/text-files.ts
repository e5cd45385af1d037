/**
 * The text files of a model, read once for tokenizer and template: tokenizer.json, its configuration with the older
 * files beside it, and chat templates. It finds templates in every place and form that transformers 5.24 knows.
 */
import { AppError } from "../../errors.ts";
import { directoryTexts, readJsonText, readText, TEMPLATE_FOLDER, type TextSource } from "./text-source.ts";
import { applyTokenizerClass } from "./tokenizer-class.ts";
import { isObject, mergeTokenizerConfig, namedTokens, tokenText } from "./tokenizer-config.ts";
import { checkTokenizer, type TokenizerFiles } from "./tokenizer-files.ts";
import { parseTokenizerJson } from "./vocabulary.ts";

/** The contents of the text files of one model. */
export interface TextFiles {
  readonly tokenizer: TokenizerFiles;
  /** Sources of chat templates by name ("default", "tool_use", …); empty where the model has none. */
  readonly templates: ReadonlyMap<string, string>;
  /** Special tokens, by their names in templates. */
  readonly specialVariables: Readonly<Record<string, string>>;
}

/**
 * Reads the text files of a base directory or checkpoint. @throws {AppError} checkpoint_invalid or
 * checkpoint_unsupported.
 */
export async function readTextFiles(dir: string): Promise<TextFiles> {
  return await readTexts(await directoryTexts(dir), dir);
}

/** The same files with another default template, which is used for tools too; null: the same files. */
export function withTemplate(files: TextFiles, template: string | null): TextFiles {
  if (template === null) return files;
  const others = [...files.templates].filter(([name]) => name !== "tool_use");
  return { ...files, templates: new Map([...others, ["default", template]]) };
}

/**
 * Reads the text files of any source. @param where name of the source in messages. @throws {AppError} as
 * `readTextFiles` does.
 */
export async function readTexts(texts: TextSource, where: string): Promise<TextFiles> {
  const optional = (name: string) => readJsonText(texts, where, name);
  const json = await readJsonText(texts, where, "tokenizer.json", parseTokenizerJson);
  if (json === undefined)
    throw new AppError(
      "checkpoint_invalid",
      `tokenizer.json is needed for text, but ${where} has none. Add the tokenizer files of the model.`,
    );
  const files = {
    config: await optional("tokenizer_config.json"),
    specialTokensMap: await optional("special_tokens_map.json"),
    addedTokens: await optional("added_tokens.json"),
  };
  const model = (await optional("config.json")) ?? {};
  const merged = mergeTokenizerConfig(files, where);
  const completed = applyTokenizerClass(json, merged, model.model_type, where);
  const tokenizer = checkTokenizer(completed.json, completed.config, where, completed.traits);
  const specialVariables = Object.fromEntries(
    namedTokens(completed.config).map(([name, token]) => [name, tokenText(token) ?? ""]),
  );
  return { tokenizer, templates: await readTemplates(texts, where, merged.chat_template), specialVariables };
}

/**
 * The templates by name. Template files override all templates of the configuration. @throws {AppError}
 * checkpoint_invalid.
 */
export async function readTemplates(
  texts: TextSource,
  where: string,
  configured: unknown,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const prefix = `${TEMPLATE_FOLDER}/`;
  const more = [...texts.keys()].filter((path) => path.startsWith(prefix) && path.endsWith(".jinja")).sort();
  for (const path of ["chat_template.jinja", ...more]) {
    const source = await readText(texts, where, path);
    if (source === undefined) continue;
    found.set(path.startsWith(prefix) ? path.slice(prefix.length, -".jinja".length) : "default", source);
  }
  return found.size > 0 ? found : configuredTemplates(configured, where);
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
