/** Adds end tokens to a checkpoint's generation_config.json, in addition to those that its files name. */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readJsonObject } from "./checkpoint.ts";

/**
 * Writes no file where there is no token to add. @param dir of a
 * checkpoint whose text files exist. @throws {AppError} checkpoint_invalid
 */
export async function addEndTokenIds(dir: string, added: readonly number[]): Promise<void> {
  if (added.length === 0) return;
  const path = join(dir, "generation_config.json");
  const config = join(dir, "config.json");
  const given = existsSync(path) ? await readJsonObject(path) : {};
  const named = [given, existsSync(config) ? await readJsonObject(config) : {}].flatMap(
    ({ eos_token_id: ids }) => (ids ?? []) as number | number[],
  );
  const merged = { ...given, eos_token_id: [...new Set([...named, ...added])] };
  await writeFile(path, `${JSON.stringify(merged, null, 2)}\n`);
}
