/** Where golden files are: MOSARA_FIXTURES, or the copy in test/golden. Tests enumerate what they find there. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const GOLDEN = join(dirname(fileURLToPath(import.meta.url)), "..", "golden");
const MORE = join(GOLDEN, "..", "golden-more");

/** Golden GGUF files, and how they were made. */
export const GGUF_GOLDEN = join(GOLDEN, "gguf");

/** Pooled hidden states of the model fixtures, and how they were made. */
export const EMBEDDINGS_GOLDEN = join(GOLDEN, "embeddings");

/** Scores of text similarity, and how they were made. */
export const GRADERS_GOLDEN = join(GOLDEN, "graders");

/** Graded answers on the base of the training fixtures, and how they were made. */
export const REWARDS_GOLDEN = join(GOLDEN, "rewards");

/** The folder of one kind of fixture: "models", "text" or "training". */
export function fixturesDir(kind: "models" | "text" | "training"): string {
  return join(process.env.MOSARA_FIXTURES ?? GOLDEN, kind);
}

/**
 * Every model fixture there is: those of `fixturesDir`, and our own beside the copy. @throws when a folder has none.
 */
export function modelCases(): { readonly name: string; readonly dir: string }[] {
  const folders = [fixturesDir("models"), ...(process.env.MOSARA_FIXTURES ? [] : [join(MORE, "models")])];
  return folders.flatMap((folder) =>
    casesIn(folder, "expected.json").map((name) => ({ name, dir: join(folder, name) })),
  );
}

/** The folders with renders of templates: that of `fixturesDir`, and our own beside the copy. */
export function templateFolders(): readonly string[] {
  const own = process.env.MOSARA_FIXTURES ? [] : [join(MORE, "text", "chat-templates")];
  return [join(fixturesDir("text"), "chat-templates"), ...own];
}

/** What `test/golden-more/text/make.py` recorded of tokenizers, and the folder of the files that it made them of. */
export const TOKENIZER_CLASSES = {
  cases: join(MORE, "text", "tokenizer-classes.json"),
  sources: join(GOLDEN, "text", "tokenizers"),
};

/** Names of the folders below `dir` that hold a file called `marker`. @throws when there are none. */
export function casesIn(dir: string, marker: string): string[] {
  const names = existsSync(dir)
    ? readdirSync(dir).filter((name) => statSync(join(dir, name)).isDirectory() && existsSync(join(dir, name, marker)))
    : [];
  if (names.length === 0) throw new Error(`no case with a ${marker} in ${dir}`);
  return names.sort();
}

/** A JSON file's value; the caller says its type. */
export function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(...path), "utf8")) as T;
}
