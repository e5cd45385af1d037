/**
 * The source of a model's text files: a directory, or another container of named files, such as a GGUF file.
 * Knows nothing of their meaning.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../../errors.ts";
import { isObject } from "./tokenizer-config.ts";

/** Files by name; files in folders by paths with "/". Each is read when a caller asks for it. */
export type TextSource = ReadonlyMap<string, () => Promise<string | Uint8Array>>;

/** The folder in which transformers keeps the chat templates besides the default one. */
export const TEMPLATE_FOLDER = "additional_chat_templates";

/** The files of a base directory or checkpoint; none where the directory does not exist. */
export async function directoryTexts(dir: string): Promise<TextSource> {
  const own = await namesIn(dir);
  const templates = own.includes(TEMPLATE_FOLDER) ? await namesIn(join(dir, TEMPLATE_FOLDER)) : [];
  const paths = [...own, ...templates.map((name) => `${TEMPLATE_FOLDER}/${name}`)];
  return new Map(paths.map((path) => [path, () => readFile(join(dir, path))]));
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) return [];
    throw new AppError("checkpoint_invalid", `${folder} cannot be read: ${String(cause)}`, { cause });
  }
}

/**
 * The text of a file; undefined where it does not exist. @param where
 * name of the source in messages. @throws {AppError} checkpoint_invalid
 */
export async function readText(texts: TextSource, where: string, name: string): Promise<string | undefined> {
  try {
    const content = await texts.get(name)?.();
    return typeof content === "object" ? new TextDecoder().decode(content) : content;
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError("checkpoint_invalid", `${name} of ${where} cannot be read: ${String(cause)}`, { cause });
  }
}

/**
 * The JSON object in a file; undefined where it does not exist. @throws {AppError} checkpoint_invalid, naming the file.
 */
export async function readJsonText(
  texts: TextSource,
  where: string,
  name: string,
  parse: (text: string) => unknown = JSON.parse,
): Promise<Record<string, unknown> | undefined> {
  const text = await readText(texts, where, name);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new AppError("checkpoint_invalid", `${name} of ${where} should be JSON: ${String(cause)}`, { cause });
  }
  if (isObject(value)) return value;
  throw new AppError(
    "checkpoint_invalid",
    `${name} of ${where} should hold a JSON object. Copy it again from the model.`,
  );
}
