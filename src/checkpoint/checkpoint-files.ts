/**
 * The text files of a checkpoint: configuration, tokenizer and chat templates. They are copied into a base unchanged.
 */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";

const TEXT_FILES =
  /^(config\.json|generation_config\.json|tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|chat_template\..*)$/;

/** The folder in which transformers keeps the chat templates besides the default one. */
const TEMPLATE_FOLDER = "additional_chat_templates";

/** Paths of the text files below `dir`, with "/", sorted. */
export async function listCheckpointTexts(dir: string): Promise<readonly string[]> {
  const filesIn = async (folder: string): Promise<string[]> =>
    (await readdir(folder, { withFileTypes: true })).flatMap((entry) =>
      entry.isDirectory() || entry.name.startsWith(".") ? [] : [entry.name],
    );
  const templates = join(dir, TEMPLATE_FOLDER);
  const more = existsSync(templates) ? (await filesIn(templates)).filter((name) => name.endsWith(".jinja")) : [];
  const own = (await filesIn(dir)).filter((name) => TEXT_FILES.test(name));
  return [...own, ...more.map((name) => `${TEMPLATE_FOLDER}/${name}`)].sort();
}

/** Copies the text files; `isWanted` leaves some of them out. */
export async function copyCheckpointTexts(
  from: string,
  to: string,
  isWanted: (path: string) => boolean = () => true,
): Promise<void> {
  for (const path of (await listCheckpointTexts(from)).filter(isWanted)) {
    await mkdir(dirname(join(to, path)), { recursive: true });
    await copyFile(join(from, path), join(to, path));
  }
}
